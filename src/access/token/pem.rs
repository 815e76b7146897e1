//! Textual encodings of keys (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One section: what it says it is, and its bytes.
#[derive(Debug, PartialEq)]
pub(super) struct Section<'p> {
    pub(super) label: &'p str,
    pub(super) der: Vec<u8>,
}

/// All sections of a file; what stands around them is text for people.
///
/// # Errors
/// A sentence about the first section that is not whole.
pub(super) fn sections(text: &str) -> Result<Vec<Section<'_>>, String> {
    let mut sections = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = between(line, "-----BEGIN ") else {
            continue;
        };
        let mut body = String::new();
        loop {
            let line = lines
                .next()
                .ok_or_else(|| format!("has a {label} that does not end"))?;
            match between(line, "-----END ") {
                Some(end) if end == label => break,
                _ => body.push_str(line),
            }
        }
        let der = STANDARD.decode(&body);
        let der = der.map_err(|_| format!("has a {label} that is not whole"))?;
        sections.push(Section { label, der });
    }
    Ok(sections)
}

fn between<'l>(line: &'l str, begin: &str) -> Option<&'l str> {
    line.strip_prefix(begin)?.strip_suffix("-----")
}
