//! A gateway's method: what it says of itself.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{
    AngleBracketedGenericArguments, Attribute, Error, FnArg, Ident, Pat, PathArguments,
    ReceiverKind, Result, ReturnType, Safety, Signature, TraitItemFn, Type,
};

use crate::{is_everywhere, variant, written};

/// A method of the gateway.
pub(crate) struct Method {
    pub(crate) name: Ident,
    pub(crate) variant: Ident,
    pub(crate) arguments: Vec<(Ident, Type)>,
    /// `<T>` or `<T, E>` of the `Call` it returns; `None` if it is one-way.
    pub(crate) reply: Option<AngleBracketedGenericArguments>,
    /// Where it says what it returns.
    pub(crate) output: Span,
    pub(crate) timeout: Timeout,
    pub(crate) no_cancel: bool,
    pub(crate) idempotent: bool,
    pub(crate) local: bool,
    pub(crate) roles: Vec<String>,
    pub(crate) fingerprint: u64,
}

pub(crate) enum Timeout {
    After(Duration),
    Default,
    Never,
}

impl Method {
    /// Reads a method; `roles` may call it unless it says otherwise.
    pub(crate) fn parse(method: &mut TraitItemFn, roles: &[String]) -> Result<Self> {
        let signature = &method.sig;
        is_everywhere(&method.attrs)?;
        if let Some(parameter) = signature.generics.params.first() {
            let message =
                "a gateway's method has no parameters of its own: its requests are of one type";
            return Err(Error::new(parameter.span(), message));
        }
        if let Safety::Unsafe(word) = &signature.safety {
            return Err(Error::new(
                word.span(),
                "a gateway's method is safe to call",
            ));
        }
        if let Some(default) = &method.default {
            let message = "a gateway's methods are the endpoint's to implement";
            return Err(Error::new(default.span(), message));
        }
        if let Some(word) = &signature.asyncness {
            let message = "a gateway's method returns `Call<T>`, which is a future by itself";
            return Err(Error::new(word.span(), message));
        }
        let receiver = signature.receiver();
        if !receiver.is_some_and(|it| matches!(it.kind, ReceiverKind::Reference(_, _, None))) {
            let message = "a gateway's method takes `&self`";
            return Err(Error::new(signature.span(), message));
        }
        let arguments = arguments(signature)?;
        let reply = reply(&signature.output)?;
        let output = match &signature.output {
            ReturnType::Default => signature.ident.span(),
            ReturnType::Type(_, of) => of.span(),
        };
        let (name, fingerprint) = (signature.ident.clone(), fingerprint(method, reply.as_ref()));
        if let Some(taken) = TAKEN.iter().find(|it| name == **it) {
            let message = format!("every gateway or its mock has a `{taken}` of its own");
            return Err(Error::new(name.span(), message));
        }
        let mut parsed = Self {
            variant: variant(&name)?,
            name,
            arguments,
            reply,
            output,
            timeout: Timeout::Default,
            no_cancel: false,
            idempotent: false,
            local: false,
            roles: roles.to_vec(),
            fingerprint,
        };
        for attribute in method.attrs.extract_if(.., |it| it.path().is_ident("rpc")) {
            parsed.option(&attribute)?;
        }
        Ok(parsed)
    }

    /// Reads `#[rpc(timeout = "30s", no_cancel, idempotent, local, roles = "a, b")]`.
    fn option(&mut self, attribute: &Attribute) -> Result<()> {
        attribute.parse_nested_meta(|meta| {
            let is = |name| meta.path.is_ident(name);
            if is("local") {
                self.local = true;
                return Ok(());
            }
            if is("roles") {
                self.roles = roles(&meta.value()?.parse()?)?;
                return Ok(());
            }
            if self.reply.is_none() && (is("no_cancel") || is("idempotent") || is("timeout")) {
                return Err(meta.error("nobody waits for a one-way method"));
            }
            if is("no_cancel") {
                self.no_cancel = true;
                return Ok(());
            }
            if is("idempotent") {
                self.idempotent = true;
                return Ok(());
            }
            if is("timeout") {
                let text: syn::LitStr = meta.value()?.parse()?;
                self.timeout = timeout(&text)?;
                return Ok(());
            }
            Err(meta.error(
                "the options are `timeout = \"30s\"`, `no_cancel`, `idempotent`, `local` and \
                 `roles = \"a, b\"`",
            ))
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Ident> {
        self.arguments.iter().map(|(name, _)| name)
    }

    pub(crate) fn types(&self) -> impl Iterator<Item = &Type> {
        self.arguments.iter().map(|(_, of)| of)
    }
}

/// Reads the names and types of the arguments.
fn arguments(signature: &Signature) -> Result<Vec<(Ident, Type)>> {
    let arguments = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Receiver(_) => None,
        FnArg::Typed(argument) => Some(argument),
    });
    let arguments: Vec<_> = arguments
        .map(|argument| {
            is_everywhere(&argument.attrs)?;
            let message = match (&*argument.pat, written(&argument.ty)) {
                (_, Type::Reference(_)) => "an argument is sent, and borrows nothing",
                (_, Type::ImplTrait(_)) => "an argument is sent, and is of one type",
                (Pat::Ident(name), of) => return Ok((name.ident.clone(), of.clone())),
                _ => "an argument is a plain name here",
            };
            Err(Error::new(argument.span(), message))
        })
        .collect::<Result<_>>()?;
    if let Some((more, _)) = arguments.get(ARGUMENTS_MAX) {
        let message = format!(
            "a method has at most {ARGUMENTS_MAX} arguments, which serde takes for a tuple: a \
             struct may hold more"
        );
        return Err(Error::new(more.span(), message));
    }
    Ok(arguments)
}

/// Takes the type arguments of the `Call` that a method returns.
fn reply(output: &ReturnType) -> Result<Option<AngleBracketedGenericArguments>> {
    let ReturnType::Type(_, of) = output else {
        return Ok(None);
    };
    if let Type::Path(path) = written(of)
        && let Some(last) = path.path.segments.last()
        && last.ident == "Call"
        && let PathArguments::AngleBracketed(arguments) = &last.arguments
    {
        return Ok(Some(arguments.clone()));
    }
    let message =
        "a gateway's method returns `Call<T>` or `Call<T, E>`, or nothing if it is one-way";
    Err(Error::new(of.span(), message))
}

/// Hashes what a method is on the wire (FNV-1a): its name, arguments and result, without spaces.
///
/// Types are hashed as they are written, save `Call`, which is itself by whatever path.
fn fingerprint(method: &TraitItemFn, reply: Option<&AngleBracketedGenericArguments>) -> u64 {
    let signature = &method.sig;
    let types = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Receiver(_) => None,
        FnArg::Typed(argument) => Some(&argument.ty),
    });
    let name = &signature.ident;
    let output = reply.map(|reply| quote!(-> Call #reply));
    let text = quote!(#name(#(#types),*) #output).to_string();
    let bytes = text.bytes().filter(|it| !it.is_ascii_whitespace());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Reads a list of roles: words with commas between them.
pub(crate) fn roles(text: &syn::LitStr) -> Result<Vec<String>> {
    let value = text.value();
    let roles: Vec<String> = value.split(',').map(|it| it.trim().to_owned()).collect();
    let is_word = |it: &String| {
        let fits = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
        !it.is_empty() && it.chars().all(fits)
    };
    match roles.iter().all(is_word) {
        true => Ok(roles),
        false => Err(Error::new(
            text.span(),
            "roles are words of letters, digits, `-`, `_` and `.`, with commas between them",
        )),
    }
}

fn timeout(text: &syn::LitStr) -> Result<Timeout> {
    let value = text.value();
    if value == "none" {
        return Ok(Timeout::Never);
    }
    let digits = value.len()
        - value
            .trim_start_matches(|it: char| it.is_ascii_digit())
            .len();
    let (number, unit) = value.split_at(digits);
    let number: Option<u64> = number.parse().ok();
    let duration = number.and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "min" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    });
    let message = "a timeout is a number of `ms`, `s` or `min`, or `none`";
    let duration = duration.ok_or_else(|| Error::new(text.span(), message))?;
    Ok(Timeout::After(duration))
}

impl Method {
    /// The arguments and the result, as in the trait.
    pub(crate) fn signature(&self) -> TokenStream {
        let (names, types) = (self.names(), self.types());
        let output = self
            .reply
            .iter()
            .map(|reply| quote!(-> ::rpc_core::Call #reply));
        quote!((&self, #(#names: #types),*) #(#output)*)
    }

    pub(crate) fn mock_output(&self) -> TokenStream {
        match &self.reply {
            Some(reply) => quote!(::rpc_core::RpcResult #reply),
            None => quote!(()),
        }
    }

    pub(crate) fn mock_handler(&self) -> TokenStream {
        let (types, output) = (self.types(), self.mock_output());
        quote!(dyn Fn(#(#types),*) -> #output + ::std::marker::Send + ::std::marker::Sync)
    }
}

/// The longest tuple that serde encodes and decodes.
const ARGUMENTS_MAX: usize = 16;
/// The methods of `RpcGateway`, and of a mock: nobody could tell which one is called.
const TAKEN: [&str; 5] = ["address", "closed", "default", "fencing_token", "hostname"];
