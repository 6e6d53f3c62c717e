//! What tests need: the conformance suite of transports, and a network that breaks as a test says.
//!
//! [`sim`] is that network: services run on it in virtual time, and a seed repeats a run.
//!
//! Every transport has to show the same semantics. The suite is instantiated in a transport's own
//! tests; a user's own transport is tested in the same way:
//!
//! ```no_run
//! # use rpc_core::{RpcService, RpcServiceBuilder};
//! async fn mine(builder: RpcServiceBuilder) -> RpcService {
//!     builder /* .transport(Mine::bind(..)) */ .build().await.unwrap()
//! }
//! rpc_core::conformance!(mine);
//! # fn main() {}
//! ```

pub mod conformance;
mod endpoint;
pub(crate) mod faults;
#[doc(hidden)]
pub mod fuzz;
mod probe;
pub mod sim;
#[doc(hidden)]
pub mod sockets;

pub use self::endpoint::TestEndpoint;
pub use self::faults::{Fault, Faults};
pub use self::probe::{
    Chain, FencedProbeGateway, FencedProbeGatewayRequest, Probe, ProbeError, ProbeGateway,
    ProbeGatewayRequest, Signals, Stubborn,
};

/// Instantiates the conformance suite: one test for each case, on services that `$make` makes.
///
/// `$make` is an `async fn(RpcServiceBuilder) -> RpcService`; services that it makes can reach each other.
///
/// The tests run on two threads. What follows `$make` is given to `tokio::test` instead: a transport
/// without sockets can be tested in virtual time by `conformance!(make, start_paused = true)`.
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        $crate::conformance!($make, flavor = "multi_thread", worker_threads = 2);
        $crate::conformance! { @cases [flavor = "multi_thread", worker_threads = 2] $make;
            a_blocking_thread_may_wait_for_a_call
        }
    };
    ($make:expr, $($runtime:tt)+) => {
        $crate::conformance! { @cases [$($runtime)+] $make;
            a_call_is_answered
            a_call_gets_as_much_time_as_its_caller_allows
            a_call_that_is_detached_ends_with_its_time
            a_call_that_is_too_large_fails_at_once
            a_call_whose_time_is_over_ends_at_the_callee_too
            a_caller_that_gives_up_cancels_the_handler
            a_closed_endpoint_is_unreachable
            a_cluster_of_another_name_is_refused
            a_deferred_answer_arrives
            a_failure_keeps_its_causes
            a_flood_is_refused_before_it_is_sent
            a_gateway_has_the_address_of_its_endpoint
            a_gateway_hears_of_the_end_of_its_endpoint
            a_gateway_to_the_own_service_moves_values
            a_handler_may_call_back_its_caller
            a_late_answer_is_ignored
            a_lost_peer_fails_its_calls_at_once
            a_missing_channel_is_refused
            many_channels_are_opened_at_once
            a_missing_endpoint_or_gateway_is_named
            a_name_can_be_used_again
            a_nested_call_inherits_the_deadline
            a_panic_fails_its_call_and_its_endpoint_only
            a_peer_that_dies_fails_its_calls_and_later_ones_wait
            a_peer_that_says_goodbye_is_gone
            a_refusal_may_come_later_from_elsewhere
            a_refusal_that_is_too_large_fails_its_call_at_once
            a_response_that_fits_arrives
            a_response_that_is_too_large_fails_at_once
            a_restarted_endpoint_is_another_one
            a_service_closes_its_endpoints
            a_service_closes_its_own_endpoints_only
            a_time_out_names_the_method_and_the_time
            a_typed_refusal_arrives_as_a_value
            a_wildcard_finds_the_first_endpoint_of_its_prefix
            an_address_that_leads_nowhere_fails_at_once
            an_answer_that_cannot_be_decoded_fails_its_call
            an_answer_that_cannot_be_encoded_fails_its_call
            an_argument_that_cannot_be_decoded_fails_its_call
            an_argument_that_cannot_be_encoded_fails_its_call_at_once
            a_value_that_is_nested_too_deep_fails_its_call
            an_endpoint_that_is_not_started_refuses
            bytes_that_are_encoded_already_pass_unchanged
            calls_are_handled_in_order
            channels_carry_bytes
            every_response_that_is_too_large_fails_its_call
            large_messages_and_small_ones_all_arrive
            many_calls_are_under_way_at_once
            nothing_is_an_answer_too
            one_way_calls_arrive_in_order
            that_an_endpoint_does_not_serve_comes_before_its_token
            the_limit_is_the_largest_size_that_passes
            so_many_calls_are_under_way_and_no_more
            strict_local_calls_are_encoded
            tokens_fence_out_old_leaders
            what_calls_hold_is_limited
        }
    };
    (@cases $runtime:tt $make:expr; $($case:ident)+) => {
        $( $crate::conformance! { @case $runtime $make; $case } )+
    };
    (@case [$($runtime:tt)+] $make:expr; $case:ident) => {
        #[tokio::test($($runtime)+)]
        async fn $case() {
            $crate::testing::conformance::$case(&$make).await;
        }
    };
}
