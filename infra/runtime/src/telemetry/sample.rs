//! Which traces are written.
//!
//! INVARIANT: whoever asks can make it less, never more: a request that says "write this" gets what the own
//! configuration gives it, by a draw that it can't foresee.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use std::hash::{BuildHasher, RandomState};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct OwnShare {
    share: f64,
    // The trace's id is chosen by whoever asks; this is not.
    draw: RandomState,
}

impl OwnShare {
    /// `share`: from 0 to 1.
    pub(super) fn new(share: f64) -> Self {
        Self { share, draw: RandomState::new() }
    }

    fn drawn(&self, trace: TraceId) -> bool {
        // 53 bits: what a float holds exactly.
        let drawn = self.draw.hash_one(trace.to_bytes()) >> 11;
        (drawn as f64) < self.share * (1_u64 << 53) as f64
    }
}

impl ShouldSample for OwnShare {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        _name: &str,
        _span_kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let parent = parent_context.map(|context| context.span().span_context().clone()).filter(|p| p.is_valid());
        let write = match parent {
            Some(parent) if !parent.is_remote() => parent.is_sampled(),
            Some(parent) => parent.is_sampled() && self.drawn(trace_id),
            None => self.drawn(trace_id),
        };
        let decision = if write { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    fn asked(sampler: &OwnShare, trace: u128, flags: TraceFlags) -> bool {
        let parent = SpanContext::new(trace.into(), SpanId::from(7), flags, true, TraceState::default());
        let context = Context::new().with_remote_span_context(parent);
        let result = sampler.should_sample(Some(&context), trace.into(), "question", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn who_asks_can_make_it_less_and_never_more() {
        let all = OwnShare::new(1.0);
        assert!(asked(&all, 1, TraceFlags::SAMPLED) && !asked(&all, 1, TraceFlags::default()));
        let none = OwnShare::new(0.0);
        assert!((1..1_000).all(|trace| !asked(&none, trace, TraceFlags::SAMPLED)));
        // Small ids are what a share by the id itself lets through.
        let tenth = OwnShare::new(0.1);
        let written = (1..10_000).filter(|trace| asked(&tenth, *trace, TraceFlags::SAMPLED)).count();
        assert!((500..2_000).contains(&written), "{written}");
    }
}
