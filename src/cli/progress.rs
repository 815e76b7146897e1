//! The bar that shows how far a command is: on stderr, and only where somebody can see it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar, or nothing where stderr is no terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar that is complete at `length`. indicatif draws nothing unless stderr is a terminal.
    pub(super) fn new(what: &'static str, length: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:<12} {wide_bar} {percent:>3} % {msg}");
        let bar = bar.with_prefix(what);
        Progress(match style {
            Ok(style) => bar.with_style(style),
            // A template of ours that is wrong costs the looks, not the run.
            Err(_) => bar,
        })
    }

    /// Shows how far it is, and something else worth knowing.
    pub(super) fn show(&self, position: u64, message: String) {
        self.0.set_position(position);
        self.0.set_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
