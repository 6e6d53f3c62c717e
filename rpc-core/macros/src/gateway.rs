//! `#[rpc_gateway]`: from a trait to its client, its requests, its table of methods and its mock.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemTrait, Result, Token, TraitItem, parse_quote};

use crate::at;
use crate::method::{Method, Timeout, roles};

/// What stands in the attribute's brackets.
#[derive(Default)]
pub(crate) struct Options {
    fenced: bool,
    roles: Vec<String>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let word: Ident = input.parse()?;
            if word == "fenced" {
                options.fenced = true;
            } else if word == "roles" {
                input.parse::<Token![=]>()?;
                options.roles = roles(&input.parse()?)?;
            } else {
                let message = "the options are `fenced` and `roles = \"a, b\"`";
                return Err(Error::new(word.span(), message));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
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
    let mut methods: Vec<Method> = Vec::new();
    for member in &mut item.items {
        let TraitItem::Fn(method) = member else {
            return Err(Error::new(member.span(), "a gateway has methods only"));
        };
        let method = Method::parse(method, &options.roles)?;
        if let Some(other) = methods.iter().find(|it| it.variant == method.variant) {
            let message = format!("requests tell it from `{}` by more than `_`", other.name);
            return Err(Error::new(method.name.span(), message));
        }
        methods.push(method);
    }
    if methods.is_empty() {
        let message = "a gateway has at least one method";
        return Err(Error::new(item.ident.span(), message));
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
                .map(|reply| quote_spanned!(at(method.output) => ::rpc_core::ReplyTo #reply));
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
            let reply = method.reply.iter().map(|_| quote!(::rpc_core::__private::reply_to(__call)?));
            quote! { #place => {
                let (#(#names,)*) = ::rpc_core::__private::decode_arguments::<(#(#types,)*)>(__info, __body)?;
                #request::#variant(#(#names_again,)* #(#reply)*)
            } }
        });
        let some = quote!(::std::option::Option::Some(reply));
        let replies = self.arms(&some, &quote!(::std::option::Option::None));
        let denies = self.arms(
            &quote!(::rpc_core::__private::deny(reply, error)),
            &quote!({}),
        );
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

                fn reply(
                    request: &#request,
                ) -> ::std::option::Option<&dyn ::rpc_core::__private::AnyReply> {
                    match request { #replies }
                }

                #[allow(unused_variables, reason = "a gateway may have one-way methods only")]
                fn decode(
                    __method: usize,
                    __body: &[u8],
                    __call: &mut ::std::option::Option<::std::sync::Arc<::rpc_core::__private::IncomingCall>>,
                ) -> ::std::result::Result<#request, ::rpc_core::RpcError> {
                    let __info = &Self::METHODS[__method];
                    ::std::result::Result::Ok(match __method {
                        #(#decodes)*
                        _ => return ::std::result::Result::Err(
                            ::rpc_core::__private::no_method(Self::NAME, __method)
                        ),
                    })
                }

                #[allow(unused_variables, reason = "a gateway may have one-way methods only")]
                fn deny(request: #request, error: ::rpc_core::RpcError) {
                    match request { #denies }
                }
            }
        }
    }

    /// Makes an arm for each variant of a request: `answers` is of its `reply`, if it has one.
    fn arms(&self, answers: &TokenStream, silent: &TokenStream) -> TokenStream {
        let request = &self.request;
        let arms = self.methods.iter().map(|method| {
            let variant = &method.variant;
            let skipped = method.arguments.iter().map(|_| quote!(_));
            match &method.reply {
                Some(_) => quote!(#request::#variant(#(#skipped,)* reply) => #answers),
                None => quote!(#request::#variant(..) => #silent),
            }
        });
        quote!(#(#arms),*)
    }

    fn info(&self, method: &Method) -> TokenStream {
        let name = format!("{}::{}", self.item.ident, method.name);
        let (fingerprint, one_way) = (method.fingerprint, method.reply.is_none());
        let (fenced, no_cancel) = (self.fenced, method.no_cancel);
        let (idempotent, local, roles) = (method.idempotent, method.local, &method.roles);
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
            idempotent: #idempotent,
            local: #local,
            roles: &[#(#roles),*],
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
                Some(_) => (quote!(call), quote!(, __reply)),
                None => (quote!(tell), quote!()),
            };
            let reply_field = method.reply.iter().map(|_| quote!(__reply));
            quote_spanned! { at(function.span()) =>
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

                fn closed(&self) -> ::rpc_core::Closed {
                    self.0.closed()
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

                fn closed(&self) -> ::rpc_core::Closed {
                    ::rpc_core::Closed::never()
                }
            }

            #fencing

            impl #name for #mock { #(#methods)* }
        }
    }
}
