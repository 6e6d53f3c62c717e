//! What the macros say of what they do not take, and the order in which they lower what they do.

use proc_macro2::{TokenStream, TokenTree};
use syn::{ItemTrait, Path, parse_quote};

use crate::{endpoint, gateway};

// Flink: RpcCompletenessTest#testRpcCompleteness
#[test]
fn a_gateway_says_what_it_does_not_take() {
    for &(options, item, expected) in NO_GATEWAYS {
        let parsed = syn::parse_str(item).expect("it is a trait");
        let options = syn::parse_str(options);
        let error = options.and_then(|options| gateway::expand(&options, parsed));
        let error = error.expect_err(item).to_string();
        assert!(error.contains(expected), "{item}: {error}");
    }
}

#[test]
fn an_endpoint_says_what_it_does_not_take() {
    let cases = [
        (
            "impl Drop for Clock { fn drop(&mut self) {} }",
            "an inherent impl",
        ),
        ("impl Clock { const A: u32 = 1; }", "methods only"),
        (
            "impl Clock { async fn now(&mut self) {} }",
            "MainThread<'_, Self>",
        ),
        ("impl Clock { fn now(self) {} }", "takes `&mut self`"),
        (
            "impl Clock { #[cfg(unix)] fn now(&mut self) {} }",
            "the same in every build",
        ),
        (
            "impl Clock { fn now(zone: String) {} }",
            "takes `&mut self`",
        ),
        (
            "impl Clock { fn now(&mut self, zone: String, cx: &mut Context<Self>) {} }",
            "the context comes first",
        ),
        (
            "impl Clock { async fn now(main: MainThread<'_, Self>, cx: &mut Context<Self>) {} }",
            "lent by `main.run`",
        ),
        (
            "impl Clock { fn getX(&mut self) {} fn get_x(&mut self) {} }",
            "`getX` is a handler of the same method",
        ),
        (
            "impl Clock { fn now(&mut self) {} fn now_(&mut self) {} }",
            "`now` is a handler of the same method",
        ),
    ];
    for (item, expected) in cases {
        let parsed = syn::parse_str(item).expect("it is an impl block");
        let path: Path = parse_quote!(ClockGateway);
        let error = endpoint::expand(&path, parsed).expect_err(item).to_string();
        assert!(error.contains(expected), "{item}: {error}");
    }
}

/// The compiler says what is wrong with a handler at what the macro makes of it.
#[test]
fn what_is_made_of_a_handler_is_where_the_handler_is() {
    for handler in [
        "fn\nnow(&mut self,\nzone: String)\n-> RpcResult<u64> { Ok(0) }",
        "async fn\nnow(main: MainThread<'_, Self>,\nzone: String)\n-> RpcResult<u64> { Ok(0) }",
    ] {
        let item = syn::parse_str(&format!("impl Clock {{ {handler} }}")).expect("it is an impl");
        let expanded = endpoint::expand(&parse_quote!(ClockGateway), item).expect(handler);
        for (name, line) in [("Now", 2), ("now", 2), ("argument0", 3), ("reply", 4)] {
            let mut lines = lines(name, expanded.clone());
            // The trait's own `reply`, which finds the call of a request.
            lines.retain(|it| name != "reply" || *it != 2);
            assert!(!lines.is_empty(), "{handler}: no {name}");
            assert!(lines.iter().all(|it| *it == line), "{name}: {lines:?}");
        }
    }
}

/// Returns on which lines `name` stands.
fn lines(name: &str, tokens: TokenStream) -> Vec<usize> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => found.extend(lines(name, group.stream())),
            TokenTree::Ident(ident) if ident == name => found.push(ident.span().start().line),
            _ => {}
        }
    }
    found
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
    let by_path = fingerprint(parse_quote!(
        trait Clock {
            fn at(&self, zone: Vec<String>) -> rpc_core::Call<u64>;
        }
    ));
    // That of `at(Vec<String>)->Call<u64>`.
    assert_eq!(one.as_deref(), Some(" 16952349998853407738u64 "));
    assert_eq!(one, same);
    assert_eq!(one, by_path);
    assert_ne!(one, changed);
}

/// Options, traits, and a part of what is said of them.
const NO_GATEWAYS: &[(&str, &str, &str)] = &[
    ("loud", "trait Clock {}", "the options are `fenced`"),
    ("roles = \"a b\"", "trait Clock {}", "roles are words"),
    ("", "trait Clock<T> {}", "no type parameters"),
    ("", "trait Clock { const A: u32; }", "methods only"),
    (
        "",
        "trait Clock { fn now(&self) -> u64; }",
        "returns `Call<T>`",
    ),
    (
        "",
        "trait Clock { async fn now(&self); }",
        "a future by itself",
    ),
    ("", "trait Clock { fn now(&mut self); }", "takes `&self`"),
    ("", "trait Clock { fn now(); }", "takes `&self`"),
    (
        "",
        "trait Clock { fn now(&self) {} }",
        "the endpoint's to implement",
    ),
    (
        "",
        "trait Clock { fn now(&self, (a, b): (u8, u8)); }",
        "a plain name",
    ),
    ("", "trait Clock {}", "at least one method"),
    (
        "",
        "trait Clock { fn now<T>(&self, zone: T); }",
        "no parameters of its own",
    ),
    (
        "",
        "trait Clock { fn now<'a>(&self, zone: &'a str); }",
        "no parameters of its own",
    ),
    (
        "",
        "trait Clock { fn now(&self, zone: &str); }",
        "borrows nothing",
    ),
    (
        "",
        "trait Clock { fn now(&self, zone: impl ToString); }",
        "of one type",
    ),
    (
        "",
        "trait Clock { fn now(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, \
         j: u8, k: u8, l: u8, m: u8, n: u8, o: u8, p: u8, q: u8); }",
        "at most 16 arguments",
    ),
    ("", "trait Clock { unsafe fn now(&self); }", "safe to call"),
    (
        "",
        "trait Clock { #[cfg(unix)] fn now(&self); }",
        "the same in every build",
    ),
    (
        "",
        "trait Clock { fn now(&self, #[cfg(unix)] zone: String); }",
        "the same in every build",
    ),
    (
        "",
        "trait Clock { fn closed(&self) -> Call<bool>; }",
        "a `closed` of its own",
    ),
    (
        "",
        "trait Clock { fn default(&self); }",
        "a `default` of its own",
    ),
    ("", "trait Clock { fn _2d(&self); }", "this is no name"),
    ("", "trait Clock { fn self_(&self); }", "this is no name"),
    (
        "",
        "trait Clock { fn at_1(&self); fn at1(&self); }",
        "from `at_1`",
    ),
    (
        "",
        "trait Clock { #[rpc(timeout = \"soon\")] fn now(&self) -> Call<u64>; }",
        "a number of `ms`, `s` or `min`",
    ),
    (
        "",
        "trait Clock { #[rpc(timeout = \"5s\")] fn reset(&self); }",
        "nobody waits for a one-way method",
    ),
    (
        "",
        "trait Clock { #[rpc(idempotent)] fn reset(&self); }",
        "nobody waits for a one-way method",
    ),
    (
        "",
        "trait Clock { #[rpc(loud)] fn now(&self) -> Call<u64>; }",
        "the options are",
    ),
];
