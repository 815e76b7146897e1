//! Takes keys out of what was written, and gathers everything that is wrong with them. What the code
//! asks for is what is known, so that nothing else keeps a list of keys.

use std::collections::HashMap;

use super::error::{Place, Problem};
use super::written::{Entry, PREFIX, Table, Value, Written};

/// How alike two names must be (Jaro-Winkler, 0 to 1) for one to be proposed for the other.
const ALIKE: f64 = 0.85;

/// One reading of a configuration: what was asked for, what was found, what is wrong.
#[derive(Default)]
pub(super) struct Reader {
    known: Vec<String>,
    sections: Vec<String>,
    places: HashMap<String, Place>,
    unknown: Vec<Unknown>,
    problems: Vec<Problem>,
}

/// A key that nobody asked for; judged last, when all that are known have been asked for.
struct Unknown {
    place: Place,
    section: String,
    key: String,
}

impl Reader {
    /// Reads the top of `table` and, through it, its sections.
    pub(super) fn read(&mut self, table: Table, read: impl FnOnce(&mut Section<'_>)) {
        let mut top = Section {
            reader: self,
            path: String::new(),
            table,
        };
        read(&mut top);
        top.finish();
    }

    /// Says that these keys do not go together, at the first of them that was written; unless one of
    /// them is wrong by itself already.
    pub(super) fn refuse(&mut self, keys: &[&str], message: String) {
        let is_wrong = |key: &&str| self.problems.iter().any(|problem| problem.key == *key);
        if keys.iter().any(is_wrong) {
            return;
        }
        // The defaults go together, so at least one of them was written.
        let written = keys
            .iter()
            .find_map(|key| Some((key, self.places.get(*key)?.clone())));
        if let Some((key, place)) = written {
            self.problem(place, key, message);
        }
    }

    /// Whether nothing is wrong with any value so far.
    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Every problem in the order of the file, those of the environment last.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        for unknown in std::mem::take(&mut self.unknown) {
            let (key, message) = match &unknown.place {
                Place::Variable(name) => (String::new(), self.unknown_variable(name)),
                _ => (
                    joined(&unknown.section, &unknown.key),
                    self.unknown_key(&unknown),
                ),
            };
            self.problem(unknown.place, &key, message);
        }
        self.problems.sort_by(|a, b| a.place.cmp(&b.place));
        self.problems
    }

    /// Every key that was asked for, with its section; those of list entries as `channels[].pattern`.
    #[cfg(test)]
    pub(super) fn known(&self) -> &[String] {
        &self.known
    }

    fn problem(&mut self, place: Place, key: &str, message: String) {
        let key = key.to_owned();
        self.problems.push(Problem {
            place,
            key,
            message,
        });
    }

    fn unknown_key(&self, unknown: &Unknown) -> String {
        let section = general(&unknown.section);
        let keys = || self.known.iter().map(|path| parted(path));
        let sections = self.sections.iter().map(|path| parted(path));
        let siblings = keys().chain(sections);
        let siblings: Vec<&str> = siblings
            .filter_map(|(home, key)| (home == section).then_some(key))
            .collect();
        if let Some(near) = nearest(&unknown.key, &siblings) {
            return format!("unknown key; did you mean \"{near}\"?");
        }
        let elsewhere = keys().find(|(_, key)| *key == unknown.key);
        match elsewhere {
            Some((home, _)) => format!("unknown here; it belongs {}", whereabouts(home)),
            None => format!(
                "unknown key; what may stand {}: {}",
                whereabouts(&section),
                siblings.join(", ")
            ),
        }
    }

    /// A misspelt variable would be a setting that silently does not count.
    fn unknown_variable(&self, name: &str) -> String {
        let names: Vec<String> = self.known.iter().map(|path| variable(path)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match nearest(name, &names) {
            Some(near) => format!("unknown variable; did you mean {near}?"),
            None => format!(
                "unknown variable; {PREFIX}LIMITS__CONNECTIONS stands for limits.connections, \
                 and so does every other key"
            ),
        }
    }
}

/// One table, from which the keys that are known are taken; what is left is unknown.
pub(super) struct Section<'r> {
    reader: &'r mut Reader,
    /// Where it is: `limits`, `channels[0]`; empty at the top.
    path: String,
    table: Table,
}

impl Section<'_> {
    /// Reads one key by `rule`; without it `slot` keeps what it has.
    pub(super) fn set<T>(
        &mut self,
        key: &str,
        slot: &mut T,
        rule: impl Fn(&Written) -> Result<T, String>,
    ) {
        let Some(written) = self.take(key) else {
            return;
        };
        let path = joined(&self.path, key);
        match rule(&written) {
            Ok(value) => {
                *slot = value;
                self.reader.places.insert(path, written.place);
            }
            Err(message) => self.reader.problem(written.place, &path, message),
        }
    }

    /// Reads a list, each item by `rule`.
    pub(super) fn set_list<T>(
        &mut self,
        key: &str,
        slot: &mut Vec<T>,
        rule: impl Fn(&Written) -> Result<T, String>,
    ) {
        let place = self.place(key);
        let Some(items) = self.take_items(key, "a list, such as [\"…\", \"…\"]") else {
            return;
        };
        let path = joined(&self.path, key);
        self.reader.places.extend(place.map(|place| (path, place)));
        slot.clear();
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{}[{index}]", joined(&self.path, key));
            match rule(&item) {
                Ok(value) => slot.push(value),
                Err(message) => self.reader.problem(item.place, &path, message),
            }
        }
    }

    /// Reads a list, or one item without brackets, each item by `rule`. Of a list with anything wrong nothing counts.
    pub(super) fn set_one_or_list<T>(
        &mut self,
        key: &str,
        slot: &mut Vec<T>,
        rule: impl Fn(&Written) -> Result<T, String>,
    ) {
        let Some(written) = self.take(key) else {
            return;
        };
        let (path, place) = (joined(&self.path, key), written.place.clone());
        let (items, is_list) = match written.into_items() {
            Ok(items) => (items, true),
            Err(one) => (vec![one], false),
        };
        let mut values = Vec::new();
        let wrong_before = self.reader.problems.len();
        for (index, item) in items.into_iter().enumerate() {
            match rule(&item) {
                Ok(value) => values.push(value),
                Err(message) => {
                    let path = match is_list {
                        true => format!("{path}[{index}]"),
                        false => path.clone(),
                    };
                    self.reader.problem(item.place, &path, message);
                }
            }
        }
        if self.reader.problems.len() == wrong_before {
            *slot = values;
            self.reader.places.insert(path, place);
        }
    }

    /// Reads a list of tables, each by `read`, which gets the place of its table too.
    pub(super) fn set_entries<T>(
        &mut self,
        key: &str,
        slot: &mut Vec<T>,
        read: impl Fn(&mut Section<'_>, &Place) -> Option<T>,
    ) {
        self.learn_entry(key, &read);
        let heading = format!("[[{}]]", joined(&self.path, key));
        let Some(items) = self.take_items(key, &format!("entries, each under its own {heading}"))
        else {
            return;
        };
        slot.clear();
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{}[{index}]", joined(&self.path, key));
            let Value::Table(table) = item.value else {
                let message = item.but_expected(format_args!("a table under {heading}"));
                self.reader.problem(item.place, &path, message);
                continue;
            };
            let reader = &mut *self.reader;
            let mut entry = Section {
                reader,
                path,
                table,
            };
            slot.extend(read(&mut entry, &item.place));
            entry.finish();
        }
    }

    /// Reads a table of this one.
    pub(super) fn section(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>)) {
        let path = joined(&self.path, key);
        self.reader.sections.push(path.clone());
        let table = match self.take_written(key) {
            None => Table::new(),
            Some(Written {
                value: Value::Table(table),
                ..
            }) => table,
            Some(other) => {
                let message = other.but_expected(format_args!("a section: [{path}]"));
                self.reader.problem(other.place, &path, message);
                Table::new()
            }
        };
        let reader = &mut *self.reader;
        let mut section = Section {
            reader,
            path,
            table,
        };
        read(&mut section);
        section.finish();
    }

    /// Whether the key was written, well or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.iter().any(|entry| entry.key == key)
    }

    /// Whether nothing was written that has not been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn place(&self, key: &str) -> Option<Place> {
        let entry = self.table.iter().find(|entry| entry.key == key)?;
        Some(entry.value.place.clone())
    }

    /// Says that something is wrong with this table, at `place`.
    pub(super) fn refuse(&mut self, place: &Place, message: impl Into<String>) {
        self.reader
            .problem(place.clone(), &self.path, message.into());
    }

    /// Asks for the keys of an entry where nobody can see it, so that they are known without one.
    fn learn_entry<T>(&mut self, key: &str, read: impl Fn(&mut Section<'_>, &Place) -> Option<T>) {
        let mut unseen = Reader::default();
        let path = format!("{}[]", joined(&self.path, key));
        let mut entry = Section {
            reader: &mut unseen,
            path,
            table: Table::new(),
        };
        read(&mut entry, &Place::File(String::new()));
        self.reader.known.append(&mut unseen.known);
    }

    fn take_items(&mut self, key: &str, expected: &str) -> Option<Vec<Written>> {
        match self.take(key)?.into_items() {
            Ok(items) => Some(items),
            Err(other) => {
                let path = joined(&self.path, key);
                let message = other.but_expected(expected);
                self.reader.problem(other.place, &path, message);
                None
            }
        }
    }

    fn take(&mut self, key: &str) -> Option<Written> {
        let path = joined(&general(&self.path), key);
        if !self.reader.known.contains(&path) {
            self.reader.known.push(path);
        }
        self.take_written(key)
    }

    fn take_written(&mut self, key: &str) -> Option<Written> {
        let index = self.table.iter().position(|entry| entry.key == key)?;
        Some(self.table.swap_remove(index).value)
    }

    fn finish(self) {
        let section = self.path;
        let leaves = self.table.into_iter().flat_map(leaves);
        let unknown = leaves.map(|(place, key)| Unknown {
            place,
            section: section.clone(),
            key,
        });
        self.reader.unknown.extend(unknown);
    }
}

/// An unknown key; of an unknown section that only the environment names, its keys, each with the
/// variable that asked for it.
fn leaves(entry: Entry) -> Vec<(Place, String)> {
    match (entry.place, entry.value.value) {
        (Place::Variable(_), Value::Table(table)) => {
            let inner = |(place, key): (Place, String)| (place, joined(&entry.key, &key));
            table.into_iter().flat_map(leaves).map(inner).collect()
        }
        (place, _) => vec![(place, entry.key)],
    }
}

fn joined(section: &str, key: &str) -> String {
    match section {
        "" => key.to_owned(),
        _ => format!("{section}.{key}"),
    }
}

fn parted(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// `channels[3]` → `channels[]`.
fn general(path: &str) -> String {
    match path.split_once('[') {
        Some((list, _)) => format!("{list}[]"),
        None => path.to_owned(),
    }
}

fn whereabouts(section: &str) -> String {
    match section.strip_suffix("[]") {
        Some(list) => format!("under [[{list}]]"),
        None if section.is_empty() => "at the top, before the first [section]".to_owned(),
        None => format!("under [{section}]"),
    }
}

/// `limits.connections` → `FOURCAST_LIMITS__CONNECTIONS`.
fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    let best = names
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= ALIKE).then_some(*best)
}
