//! What the macros say of what they do not take, and the order in which they lower what they do.

use quote::quote;
use syn::{ItemImpl, ItemTrait, Path, parse_quote};

use crate::{endpoint, gateway};

fn gateway_error(options: &str, item: ItemTrait) -> String {
    match syn::parse_str(options).and_then(|options| gateway::expand(&options, item)) {
        Ok(expansion) => panic!("it was taken: {expansion}"),
        Err(error) => error.to_string(),
    }
}

fn endpoint_error(item: ItemImpl) -> String {
    let path: Path = parse_quote!(ClockGateway);
    match endpoint::expand(&path, item) {
        Ok(expansion) => panic!("it was taken: {expansion}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_gateway_says_what_it_does_not_take() {
    let cases: Vec<(&str, ItemTrait, &str)> = vec![
        (
            "loud",
            parse_quote!(
                trait Clock {}
            ),
            "the only option is `fenced`",
        ),
        (
            "",
            parse_quote!(
                trait Clock<T> {}
            ),
            "no type parameters",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    const A: u32;
                }
            ),
            "methods only",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    fn now(&self) -> u64;
                }
            ),
            "returns `Call<T>`",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    async fn now(&self);
                }
            ),
            "a future by itself",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    fn now(&mut self);
                }
            ),
            "takes `&self`",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    fn now();
                }
            ),
            "takes `&self`",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    fn now(&self) {}
                }
            ),
            "the endpoint's to implement",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    fn now(&self, (a, b): (u8, u8));
                }
            ),
            "a plain name",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    #[rpc(timeout = "soon")]
                    fn now(&self) -> Call<u64>;
                }
            ),
            "a number of `ms`, `s` or `min`",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    #[rpc(timeout = "5s")]
                    fn reset(&self);
                }
            ),
            "nobody waits for a one-way method",
        ),
        (
            "",
            parse_quote!(
                trait Clock {
                    #[rpc(loud)]
                    fn now(&self) -> Call<u64>;
                }
            ),
            "the options are",
        ),
    ];
    for (options, item, expected) in cases {
        let text = quote!(#item).to_string();
        let error = gateway_error(options, item);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn an_endpoint_says_what_it_does_not_take() {
    let cases: Vec<(ItemImpl, &str)> = vec![
        (
            parse_quote!(impl Drop for Clock { fn drop(&mut self) {} }),
            "an inherent impl",
        ),
        (
            parse_quote!(impl Clock { const A: u32 = 1; }),
            "methods only",
        ),
        (
            parse_quote!(impl Clock { async fn now(&mut self) {} }),
            "MainThread<'_, Self>",
        ),
        (
            parse_quote!(impl Clock { fn now(self) {} }),
            "takes `&mut self`",
        ),
        (
            parse_quote!(impl Clock { fn now(zone: String) {} }),
            "takes `&mut self`",
        ),
    ];
    for (item, expected) in cases {
        let text = quote!(#item).to_string();
        let error = endpoint_error(item);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_fingerprint_is_that_of_the_signature_and_not_of_its_layout() {
    let fingerprint = |item: ItemTrait| {
        let options = syn::parse_str("").expect("no options are options");
        let text = gateway::expand(&options, item)
            .expect("it is a gateway")
            .to_string();
        let (_, rest) = text
            .split_once("fingerprint :")
            .expect("each method has one");
        rest.split(',').next().map(str::to_owned)
    };
    let one = fingerprint(parse_quote!(
        trait Clock {
            fn at(&self, zone: Vec<String>) -> Call<u64>;
        }
    ));
    let same = fingerprint(parse_quote!(
        trait Other {
            /// It may be documented.
            fn at(&self, place: Vec<String>) -> Call<u64>;
        }
    ));
    let changed = fingerprint(parse_quote!(
        trait Clock {
            fn at(&self, zone: Vec<String>) -> Call<u32>;
        }
    ));
    assert_eq!(one, same);
    assert_ne!(one, changed);
}
