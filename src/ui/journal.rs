//! The journal: what was changed, with fields to search by.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sends events of this run to journald, where there is one:
/// `journalctl -t authentik-install`, fields `PHASE` and `RESOURCE`.
pub fn start() {
    if let Ok(layer) = tracing_journald::layer() {
        let layer =
            layer.with_syslog_identifier("authentik-install".into()).with_field_prefix(None);
        // A second start in one process is refused, and the first one does.
        let _ = tracing_subscriber::registry().with(LevelFilter::INFO).with(layer).try_init();
    }
}
