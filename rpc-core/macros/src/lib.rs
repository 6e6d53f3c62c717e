//! The attribute macros of rpc-core. They are documented there.

mod endpoint;
mod gateway;
mod method;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// See `rpc_core::rpc_gateway`.
#[proc_macro_attribute]
pub fn rpc_gateway(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(attribute as gateway::Options);
    let item = parse_macro_input!(item as syn::ItemTrait);
    gateway::expand(&options, item)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// See `rpc_core::rpc_endpoint`.
#[proc_macro_attribute]
pub fn rpc_endpoint(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let gateway = parse_macro_input!(attribute as syn::Path);
    let item = parse_macro_input!(item as syn::ItemImpl);
    endpoint::expand(&gateway, item)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// The variant of a request enum for a method: `request_slots` becomes `RequestSlots`.
fn variant(method: &syn::Ident) -> syn::Ident {
    let name = method.to_string();
    let words = name.trim_start_matches("r#").split('_');
    let capitalised = words.map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|it| it.to_uppercase().to_string());
        first.unwrap_or_default() + letters.as_str()
    });
    syn::Ident::new(&capitalised.collect::<String>(), method.span())
}
