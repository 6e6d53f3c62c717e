//! The attribute macros of rpc-core. They are documented there.

mod endpoint;
mod gateway;
mod method;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Ident, Result, Type, parse_macro_input};

/// See `rpc_core::rpc_gateway`.
#[proc_macro_attribute]
pub fn rpc_gateway(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(attribute as gateway::Options);
    let item = parse_macro_input!(item as syn::ItemTrait);
    gateway::expand(&options, item)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// See `rpc_core::rpc_endpoint`.
#[proc_macro_attribute]
pub fn rpc_endpoint(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let gateway = parse_macro_input!(attribute as syn::Path);
    let item = parse_macro_input!(item as syn::ItemImpl);
    endpoint::expand(&gateway, item)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// The variant of a request enum for a method: `request_slots` becomes `RequestSlots`.
fn variant(method: &Ident) -> Result<Ident> {
    let name = method.to_string();
    let words = name.trim_start_matches("r#").split('_');
    let capitalised = words.map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|it| it.to_uppercase().to_string());
        first.unwrap_or_default() + letters.as_str()
    });
    let variant: Option<Ident> = syn::parse_str(&capitalised.collect::<String>()).ok();
    let message = "without its underscores this is no name, and a request is to have it";
    let mut variant = variant.ok_or_else(|| Error::new(method.span(), message))?;
    variant.set_span(method.span());
    Ok(variant)
}

/// Returns a place in the user's code for what the macros name by themselves.
///
/// A name that a `macro_rules!` was given sees other variables than the code around it, so that names
/// with the whole span of one of the user's would not find those of the expansion.
fn at(place: Span) -> Span {
    Span::call_site().located_at(place)
}

/// Returns a type as it is written: one that a `macro_rules!` was given comes as a group.
fn written(mut of: &Type) -> &Type {
    while let Type::Group(group) = of {
        of = &group.elem;
    }
    of
}

/// Refuses a method, or an argument, that some builds have and others have not.
fn is_everywhere(attributes: &[Attribute]) -> Result<()> {
    let is_conditional =
        |it: &&Attribute| it.path().is_ident("cfg") || it.path().is_ident("cfg_attr");
    let message = "a gateway's methods are the same in every build, and so are their handlers: the \
                   condition may be on all of the gateway";
    match attributes.iter().find(is_conditional) {
        Some(attribute) => Err(Error::new(attribute.span(), message)),
        None => Ok(()),
    }
}
