//! `#[rpc_gateway]`: from a trait to its client, its requests, its table of methods and its mock.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{
    AngleBracketedGenericArguments, Attribute, Error, FnArg, Ident, ItemTrait, Pat, PathArguments,
    ReceiverKind, Result, ReturnType, TraitItem, TraitItemFn, Type, parse_quote,
};

use crate::variant;

/// What stands in the attribute's brackets.
pub(crate) struct Options {
    fenced: bool,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            return Ok(Self { fenced: false });
        }
        let word: Ident = input.parse()?;
        match word == "fenced" {
            true => Ok(Self { fenced: true }),
            false => Err(Error::new(word.span(), "the only option is `fenced`")),
        }
    }
}

/// A method of the gateway.
struct Method {
    name: Ident,
    variant: Ident,
    arguments: Vec<(Ident, Type)>,
    /// `<T>` or `<T, E>` of the `Call` it returns; `None` if it is one-way.
    reply: Option<AngleBracketedGenericArguments>,
    timeout: Timeout,
    no_cancel: bool,
    fingerprint: u64,
}

enum Timeout {
    After(Duration),
    Default,
    Never,
}

/// What all the pieces of the expansion are made of.
struct Gateway {
    item: ItemTrait,
    fenced: bool,
    methods: Vec<Method>,
    request: Ident,
    client: Ident,
    mock: Ident,
}

pub(crate) fn expand(options: &Options, mut item: ItemTrait) -> Result<TokenStream> {
    if let Some(parameter) = item.generics.params.first() {
        let message = "a gateway has no type parameters: its methods have numbers on the wire";
        return Err(Error::new(parameter.span(), message));
    }
    let mut methods = Vec::new();
    for member in &mut item.items {
        match member {
            TraitItem::Fn(method) => methods.push(Method::parse(method)?),
            other => return Err(Error::new(other.span(), "a gateway has methods only")),
        }
    }
    item.supertraits.push(match options.fenced {
        true => parse_quote!(::rpc_core::FencedRpcGateway),
        false => parse_quote!(::rpc_core::RpcGateway),
    });
    let name = &item.ident;
    let gateway = Gateway {
        request: format_ident!("{name}Request"),
        client: format_ident!("{name}Client"),
        mock: format_ident!("Mock{name}"),
        fenced: options.fenced,
        methods,
        item,
    };
    Ok(gateway.expand())
}

impl Method {
    fn parse(method: &mut TraitItemFn) -> Result<Self> {
        let signature = &method.sig;
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
        let arguments = signature.inputs.iter().filter_map(|input| match input {
            FnArg::Receiver(_) => None,
            FnArg::Typed(argument) => Some(argument),
        });
        let arguments: Vec<(Ident, Type)> = arguments
            .map(|argument| match &*argument.pat {
                Pat::Ident(name) => Ok((name.ident.clone(), (*argument.ty).clone())),
                other => Err(Error::new(other.span(), "an argument is a plain name here")),
            })
            .collect::<Result<_>>()?;
        let reply = reply(&signature.output)?;
        let (name, fingerprint) = (signature.ident.clone(), fingerprint(method));
        let mut parsed = Self {
            variant: variant(&name),
            name,
            arguments,
            reply,
            timeout: Timeout::Default,
            no_cancel: false,
            fingerprint,
        };
        for attribute in method.attrs.extract_if(.., |it| it.path().is_ident("rpc")) {
            parsed.option(&attribute)?;
        }
        Ok(parsed)
    }

    /// Reads `#[rpc(timeout = "30s", no_cancel)]`.
    fn option(&mut self, attribute: &Attribute) -> Result<()> {
        attribute.parse_nested_meta(|meta| {
            if self.reply.is_none() {
                return Err(meta.error("nobody waits for a one-way method"));
            }
            if meta.path.is_ident("no_cancel") {
                self.no_cancel = true;
                return Ok(());
            }
            if meta.path.is_ident("timeout") {
                let text: syn::LitStr = meta.value()?.parse()?;
                self.timeout = timeout(&text)?;
                return Ok(());
            }
            Err(meta.error("the options are `timeout = \"30s\"` and `no_cancel`"))
        })
    }

    fn names(&self) -> impl Iterator<Item = &Ident> {
        self.arguments.iter().map(|(name, _)| name)
    }

    fn types(&self) -> impl Iterator<Item = &Type> {
        self.arguments.iter().map(|(_, of)| of)
    }
}

/// Takes the type arguments of the `Call` that a method returns.
fn reply(output: &ReturnType) -> Result<Option<AngleBracketedGenericArguments>> {
    let ReturnType::Type(_, of) = output else {
        return Ok(None);
    };
    if let Type::Path(path) = &**of
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
fn fingerprint(method: &TraitItemFn) -> u64 {
    let signature = &method.sig;
    let types = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Receiver(_) => None,
        FnArg::Typed(argument) => Some(&argument.ty),
    });
    let (name, output) = (&signature.ident, &signature.output);
    let text = quote!(#name(#(#types),*) #output).to_string();
    let bytes = text.bytes().filter(|it| !it.is_ascii_whitespace());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
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

impl Gateway {
    fn expand(&self) -> TokenStream {
        let item = &self.item;
        let (request, client, mock) = (self.request(), self.client(), self.mock());
        let gateway = self.gateway();
        quote!(#item #request #gateway #client #mock)
    }

    /// One variant for each method, with its arguments and the right to answer.
    fn request(&self) -> TokenStream {
        let (visibility, request) = (&self.item.vis, &self.request);
        let variants = self.methods.iter().map(|method| {
            let (variant, types) = (&method.variant, method.types());
            let reply = method
                .reply
                .iter()
                .map(|reply| quote!(::rpc_core::ReplyTo #reply));
            quote!(#variant(#(#types,)* #(#reply)*))
        });
        let doc = format!("A call of a method of [`{}`].", self.item.ident);
        quote! {
            #[doc = #doc]
            #[allow(missing_docs, clippy::exhaustive_enums, reason = "the methods are in the trait")]
            #[derive(Debug)]
            #visibility enum #request { #(#variants),* }
        }
    }

    fn gateway(&self) -> TokenStream {
        let (name, request, client, fenced) =
            (&self.item.ident, &self.request, &self.client, self.fenced);
        let text = name.to_string();
        let infos = self.methods.iter().map(|method| self.info(method));
        let places = self.methods.iter().enumerate().map(|(place, method)| {
            let variant = &method.variant;
            quote!(#request::#variant(..) => #place)
        });
        let decodes = self.methods.iter().enumerate().map(|(place, method)| {
            let (variant, names, types) = (&method.variant, method.names(), method.types());
            let names_again = method.names();
            let reply = method.reply.iter().map(|_| quote!(::rpc_core::__private::reply_to(call)?));
            quote! { #place => {
                let (#(#names,)*) = ::rpc_core::__private::decode_arguments::<(#(#types,)*)>(info, body)?;
                #request::#variant(#(#names_again,)* #(#reply)*)
            } }
        });
        let denies = self.methods.iter().map(|method| {
            let variant = &method.variant;
            let skipped = method.arguments.iter().map(|_| quote!(_));
            match &method.reply {
                Some(_) => quote!(#request::#variant(#(#skipped,)* reply) => {
                    ::rpc_core::__private::deny(reply, error)
                }),
                None => quote!(#request::#variant(..) => {}),
            }
        });
        let marker = match fenced {
            true => quote!(::rpc_core::Fenced),
            false => quote!(::rpc_core::Unfenced),
        };
        quote! {
            impl #marker for dyn #name {}

            #[automatically_derived]
            impl ::rpc_core::Gateway for dyn #name {
                type Request = #request;
                const NAME: &'static str = #text;
                const METHODS: &'static [::rpc_core::__private::MethodInfo] = &[#(#infos),*];

                fn client(port: ::rpc_core::__private::Port<#request>) -> ::std::sync::Arc<Self> {
                    ::std::sync::Arc::new(#client(port))
                }

                fn method(request: &#request) -> usize {
                    match request { #(#places),* }
                }

                #[allow(unused_variables, reason = "a gateway may have one-way methods only")]
                fn decode(
                    method: usize,
                    body: &[u8],
                    call: ::std::option::Option<::std::sync::Arc<::rpc_core::__private::IncomingCall>>,
                ) -> ::std::result::Result<#request, ::rpc_core::RpcError> {
                    let info = &Self::METHODS[method];
                    ::std::result::Result::Ok(match method {
                        #(#decodes)*
                        _ => return ::std::result::Result::Err(
                            ::rpc_core::__private::no_method(Self::NAME, method)
                        ),
                    })
                }

                #[allow(unused_variables, reason = "a gateway may have one-way methods only")]
                fn deny(request: #request, error: ::rpc_core::RpcError) {
                    match request { #(#denies),* }
                }
            }
        }
    }

    fn info(&self, method: &Method) -> TokenStream {
        let name = format!("{}::{}", self.item.ident, method.name);
        let (fingerprint, one_way) = (method.fingerprint, method.reply.is_none());
        let (fenced, no_cancel) = (self.fenced, method.no_cancel);
        let timeout = match method.timeout {
            Timeout::After(after) => {
                let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                quote!(After(::std::time::Duration::from_millis(#millis)))
            }
            Timeout::Default => quote!(Default),
            Timeout::Never => quote!(Never),
        };
        quote!(::rpc_core::__private::MethodInfo {
            name: #name,
            fingerprint: #fingerprint,
            one_way: #one_way,
            fenced: #fenced,
            no_cancel: #no_cancel,
            timeout: ::rpc_core::__private::CallTimeout::#timeout,
        })
    }

    fn client(&self) -> TokenStream {
        let (visibility, name, request, client) = (
            &self.item.vis,
            &self.item.ident,
            &self.request,
            &self.client,
        );
        let methods = self.methods.iter().enumerate().map(|(place, method)| {
            let (function, variant) = (&method.name, &method.variant);
            let signature = method.signature();
            let (a, b, c) = (method.names(), method.names(), method.names());
            let (kind, reply) = match method.reply {
                Some(_) => (quote!(call), quote!(, reply)),
                None => (quote!(tell), quote!()),
            };
            let reply_field = method.reply.iter().map(|_| quote!(reply));
            quote_spanned! { function.span() =>
                fn #function #signature {
                    self.0.#kind(
                        #place,
                        &<dyn #name as ::rpc_core::Gateway>::METHODS[#place],
                        (#(#a,)*),
                        |(#(#b,)*) #reply| #request::#variant(#(#c,)* #(#reply_field)*),
                    )
                }
            }
        });
        let fencing = self.fenced.then(|| {
            quote! {
                impl ::rpc_core::FencedRpcGateway for #client {
                    fn fencing_token(&self) -> ::rpc_core::FencingToken {
                        self.0.fencing_token()
                    }
                }
            }
        });
        let doc = format!("A [`{name}`] that calls an endpoint.");
        quote! {
            #[doc = #doc]
            #[derive(Debug)]
            #visibility struct #client(::rpc_core::__private::Port<#request>);

            impl ::rpc_core::RpcGateway for #client {
                fn address(&self) -> &str {
                    self.0.address()
                }

                fn hostname(&self) -> &str {
                    self.0.hostname()
                }
            }

            #fencing

            impl #name for #client { #(#methods)* }
        }
    }

    fn mock(&self) -> TokenStream {
        let (visibility, name, mock) = (&self.item.vis, &self.item.ident, &self.mock);
        let fields = self.methods.iter().map(|method| {
            let (function, handler) = (&method.name, method.mock_handler());
            quote!(#function: ::std::option::Option<::std::boxed::Box<#handler>>)
        });
        let setters = self.methods.iter().map(|method| {
            let (function, types, output) = (&method.name, method.types(), method.mock_output());
            let doc = format!("Answers [`{name}::{function}`] with `handler`.");
            quote! {
                #[doc = #doc]
                #[must_use]
                pub fn #function(
                    mut self,
                    handler: impl Fn(#(#types),*) -> #output + ::std::marker::Send
                        + ::std::marker::Sync + 'static,
                ) -> Self {
                    self.#function = ::std::option::Option::Some(::std::boxed::Box::new(handler));
                    self
                }
            }
        });
        let methods = self.methods.iter().map(|method| {
            let (function, signature, names) = (&method.name, method.signature(), method.names());
            let message = format!("`{mock}` does not expect a call of `{function}`");
            let call = quote!((self.#function.as_ref().expect(#message))(#(#names),*));
            let body = match method.reply {
                Some(_) => quote!(::rpc_core::Call::ready(#call)),
                None => call,
            };
            quote!(fn #function #signature { #body })
        });
        let fencing = self.fenced.then(|| {
            quote! {
                impl ::rpc_core::FencedRpcGateway for #mock {
                    fn fencing_token(&self) -> ::rpc_core::FencingToken {
                        ::rpc_core::FencingToken::new(0)
                    }
                }
            }
        });
        let doc = format!("A [`{name}`] whose answers a test provides; other calls panic.");
        quote! {
            #[doc = #doc]
            #[allow(dead_code, clippy::type_complexity, reason = "for tests")]
            #[derive(Default)]
            #visibility struct #mock { #(#fields),* }

            #[allow(dead_code, reason = "for tests")]
            impl #mock { #(#setters)* }

            impl ::std::fmt::Debug for #mock {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    f.write_str(::std::stringify!(#mock))
                }
            }

            impl ::rpc_core::RpcGateway for #mock {
                fn address(&self) -> &str {
                    "mock"
                }

                fn hostname(&self) -> &str {
                    "localhost"
                }
            }

            #fencing

            impl #name for #mock { #(#methods)* }
        }
    }
}

impl Method {
    /// The arguments and the result, as in the trait.
    fn signature(&self) -> TokenStream {
        let (names, types) = (self.names(), self.types());
        let output = self
            .reply
            .iter()
            .map(|reply| quote!(-> ::rpc_core::Call #reply));
        quote!((&self, #(#names: #types),*) #(#output)*)
    }

    fn mock_output(&self) -> TokenStream {
        match &self.reply {
            Some(reply) => quote!(::rpc_core::RpcResult #reply),
            None => quote!(()),
        }
    }

    fn mock_handler(&self) -> TokenStream {
        let (types, output) = (self.types(), self.mock_output());
        quote!(dyn Fn(#(#types),*) -> #output + ::std::marker::Send + ::std::marker::Sync)
    }
}
