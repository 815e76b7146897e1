//! A configuration as it was written: a tree of values, each with its place, from a file and from the
//! variables of the environment that are put over it.

use std::ffi::OsString;
use std::fmt::Display;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{Place, Problem};

/// What every variable that overrides a key begins with.
pub(super) const PREFIX: &str = "FOURCAST_";

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub place: Place,
    pub value: Value,
}

/// A value as it was written.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Number(i128),
    Switch(bool),
    List(Vec<Written>),
    Table(Table),
    /// From the environment, where everything is text and the key says what it should be.
    Bare(String),
    /// Of a type that no key has, as it was written.
    Odd(String),
}

/// Keys with their values, in no order that matters.
pub(super) type Table = Vec<Entry>;

/// A key, where it stands, and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Written,
}

impl Written {
    /// The text, if text it is.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Bare(text) => Some(text.trim()),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub(super) fn number(&self) -> Option<i128> {
        match &self.value {
            Value::Number(number) => Some(*number),
            Value::Bare(text) => text.trim().replace('_', "").parse().ok(),
            _ => None,
        }
    }

    /// Whether it is `true` or `false`, if it is either.
    pub(super) fn switch(&self) -> Option<bool> {
        match &self.value {
            Value::Switch(switch) => Some(*switch),
            Value::Bare(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether this is a number to which somebody forgot to add its unit.
    pub(super) fn is_bare_number(&self) -> bool {
        let reads_as_number = |text: &str| text.replace('_', "").parse::<f64>().is_ok();
        match &self.value {
            Value::Number(_) => true,
            Value::Text(text) | Value::Bare(text) | Value::Odd(text) => {
                reads_as_number(text.trim())
            }
            Value::Switch(_) | Value::List(_) | Value::Table(_) => false,
        }
    }

    /// The items, if it is a list; in the environment a TOML list, or items with commas between them.
    pub(super) fn into_items(self) -> Result<Vec<Written>, Written> {
        match self.value {
            Value::List(items) => Ok(items),
            Value::Bare(text) => bare_items(&self.place, &text).ok_or(Written {
                place: self.place,
                value: Value::Bare(text),
            }),
            _ => Err(self),
        }
    }

    /// The sentence that says what stood there, never much of it, and what may stand there.
    pub(super) fn but_expected(&self, expected: impl Display) -> String {
        let found = match &self.value {
            Value::Text(text) | Value::Bare(text) => quoted(text),
            Value::Number(number) => number.to_string(),
            Value::Switch(switch) => switch.to_string(),
            Value::Odd(text) => text.clone(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        };
        format!("found {found}; expected {expected}")
    }
}

/// Reads a file. With a syntax error there is no tree: what follows it may have been meant otherwise.
/// A key that stands twice is told, and the rest is read on.
pub(super) fn from_file(name: &str, text: &str) -> (Table, Vec<Problem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let only_doubled = errors
        .iter()
        .all(|error| error.message() == "duplicate key");
    let problems = errors.iter().map(|error| {
        let span = error.span().unwrap_or(0..0);
        Problem {
            place: Place::in_text(name, text, span.start),
            key: text
                .get(span)
                .filter(|_| only_doubled)
                .unwrap_or_default()
                .to_owned(),
            message: match error.message() {
                "duplicate key" => "stands twice; keep one of them".to_owned(),
                other => format!("not TOML: {other}"),
            },
        }
    });
    let problems = problems.collect();
    if !only_doubled {
        return (Table::new(), problems);
    }
    let place = |offset| Place::in_text(name, text, offset);
    (convert_table(table.into_inner(), &place), problems)
}

/// Puts the variables that begin with `FOURCAST_` over `table`: two underscores stand between a section
/// and its key.
pub(super) fn put_over(
    table: &mut Table,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, text) in environment {
        let name = name.to_string_lossy();
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let place = Place::Variable(name.clone().into_owned());
        match text.into_string() {
            Ok(text) => {
                let path = path.to_ascii_lowercase();
                insert(table, &path, &place, text);
            }
            Err(_) => problems.push(Problem {
                place,
                key: String::new(),
                message: "its value is not UTF-8".to_owned(),
            }),
        }
    }
    problems
}

fn insert(table: &mut Table, path: &str, place: &Place, text: String) {
    let (key, rest) = match path.split_once("__") {
        Some((key, rest)) => (key, Some(rest)),
        None => (path, None),
    };
    let written = |value| Written {
        place: place.clone(),
        value,
    };
    let index = table.iter().position(|entry| entry.key == key);
    let index = index.unwrap_or_else(|| {
        table.push(Entry {
            key: key.to_owned(),
            place: place.clone(),
            value: written(Value::Table(Table::new())),
        });
        table.len() - 1
    });
    let entry = &mut table[index];
    match (rest, &mut entry.value.value) {
        (Some(rest), Value::Table(inner)) => insert(inner, rest, place, text),
        // The file has something else than a section there, which is a problem of its own.
        (Some(_), _) => {}
        (None, _) => {
            entry.place = place.clone();
            entry.value = written(Value::Bare(text));
        }
    }
}

fn bare_items(place: &Place, text: &str) -> Option<Vec<Written>> {
    let at_place = |_: usize| place.clone();
    if text.trim_start().starts_with('[') {
        let list = DeValue::parse(text.trim()).ok()?;
        return convert(list, &at_place).into_items().ok();
    }
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let written = |item: &str| Written {
        place: place.clone(),
        value: Value::Bare(item.to_owned()),
    };
    Some(items.map(written).collect())
}

fn convert_table(table: DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Table {
    let entry = |(key, value): (Spanned<DeString<'_>>, Spanned<DeValue<'_>>)| Entry {
        place: place(key.span().start),
        key: key.into_inner().into_owned(),
        value: convert(value, place),
    };
    table.into_iter().map(entry).collect()
}

fn convert(value: Spanned<DeValue<'_>>, place: &dyn Fn(usize) -> Place) -> Written {
    let written_at = place(value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Odd(number.to_string()), Value::Number),
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| convert(item, place)).collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(table, place)),
        DeValue::Float(number) => Value::Odd(number.to_string()),
        DeValue::Boolean(switch) => Value::Switch(switch),
        DeValue::Datetime(time) => Value::Odd(time.to_string()),
    };
    Written {
        place: written_at,
        value,
    }
}

fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
