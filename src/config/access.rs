//! Who may do what, as the configuration says it.

use super::Tokens;

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Access {
    /// Which tokens count.
    pub tokens: Tokens,
}
