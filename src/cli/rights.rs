//! The options that say what somebody may do.

use crate::access::rights::Rights;
use crate::hub::selector::Selector;

/// What somebody may do.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RightsArgs {
    /// A channel or pattern that may be read, such as 'rooms/*'; may stand several times
    #[arg(long, value_name = "SELECTOR")]
    subscribe: Vec<Selector>,
    /// A channel or pattern that may be published to
    #[arg(long, value_name = "SELECTOR")]
    publish: Vec<Selector>,
    /// A channel or pattern whose events may be deleted
    #[arg(long, value_name = "SELECTOR")]
    delete: Vec<Selector>,
}

impl RightsArgs {
    pub(super) fn rights(&self) -> Rights {
        Rights {
            subscribe: self.subscribe.clone(),
            publish: self.publish.clone(),
            delete: self.delete.clone(),
        }
    }
}

/// Selectors as JSON and TOML have them.
pub(super) fn listed(selectors: &[Selector]) -> String {
    let texts: Vec<&str> = selectors.iter().map(Selector::as_str).collect();
    serde_json::Value::from(texts).to_string()
}
