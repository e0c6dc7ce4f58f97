//! The one TLS crypto provider of a process.

/// Installs ring as the provider of this process. Call it first in `main`; a second call does nothing.
///
/// Two providers get linked (object stores bring aws-lc-rs), so rustls can't choose by itself.
pub fn install() {
    // Err means that a provider is installed already, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
