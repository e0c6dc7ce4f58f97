//! The W3C trace context: which trace a request belongs to, as it travels in headers and envelopes.
//!
//! INVARIANT: what came from outside is used only when it has exactly the standard's form; it says where spans hang, never
//! what is written.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use std::fmt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Name of the header.
const NAME: &str = "traceparent";

/// A `traceparent`, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceParent(Option<(TraceId, SpanId, u8)>);

impl TraceParent {
    /// Reads what came from outside; none when it isn't one.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(read(text))
    }

    /// What stands in a request's headers.
    #[must_use]
    pub fn in_headers(headers: &http::HeaderMap) -> Self {
        headers.get(NAME).and_then(|value| value.to_str().ok()).map(Self::parse).unwrap_or_default()
    }

    /// Of a span that is being traced; none otherwise.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        let context = span.context();
        let here = context.span().span_context().clone();
        Self(here.is_valid().then(|| (here.trace_id(), here.span_id(), here.trace_flags().to_u8())))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// This one, or else `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        if self.is_none() { other.clone() } else { self }
    }

    /// Hangs `span`, which nobody has entered yet, below this one.
    pub fn adopt(&self, span: &Span) {
        let Some((trace, parent, flags)) = self.0 else { return };
        let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
        let remote = SpanContext::new(trace, parent, flags, true, TraceState::default());
        // Fails for a span that isn't traced: there is nothing to hang.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
}

fn read(text: &str) -> Option<(TraceId, SpanId, u8)> {
    let lower = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts.as_slice() else { return None };
    let form = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
    if *version != "00" || form.iter().any(|(part, length)| part.len() != *length || !lower(part)) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let whole = trace != TraceId::INVALID && span != SpanId::INVALID;
    whole.then_some((trace, span, u8::from_str_radix(flags, 16).ok()?))
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((trace, span, flags)) => write!(f, "00-{trace}-{span}-{flags:02x}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_standards_form_is_read() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(TraceParent::parse(good).to_string(), good);
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-0101701234",
        ] {
            assert!(TraceParent::parse(bad).is_none(), "{bad}");
            assert_eq!(TraceParent::parse(bad).to_string(), "");
        }
    }
}
