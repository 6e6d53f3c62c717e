//! `#[rpc_endpoint]`: from an impl block of handlers to an exhaustive match over the requests.

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse_quote;
use syn::spanned::Spanned;
use syn::{
    Error, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Path, ReceiverKind, Result, ReturnType,
    Type,
};

use crate::{at, is_everywhere, variant, written};

/// A handler, by its shape.
struct Handler<'a> {
    function: &'a ImplItemFn,
    variant: Ident,
    shape: Shape,
    /// The arguments that a request brings, and what the handler does not return: its `ReplyTo`.
    arguments: Vec<Ident>,
}

enum Shape {
    /// `fn f(&mut self, ..)`, with a `&mut Context` or without.
    Quick { context: bool },
    /// `async fn f(main: MainThread<'_, Self>, ..)`.
    Interleaving,
}

pub(crate) fn expand(gateway: &Path, mut item: ItemImpl) -> Result<TokenStream> {
    if let Some((path, ..)) = &item.trait_ {
        let message = "`#[rpc_endpoint]` is for an inherent impl";
        return Err(Error::new(path.span(), message));
    }
    item.attrs.push(parse_quote!(#[allow(
        clippy::needless_pass_by_ref_mut,
        clippy::needless_pass_by_value,
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the shape of a handler is given"
    )]));
    let handlers = handlers(&item)?;
    let arms = handlers.iter().map(|handler| handler.arm(gateway));
    let names = handlers.iter().map(|handler| handler.name(gateway));
    let (me, generics) = (&item.self_ty, &item.generics);
    let (parameters, _, bounds) = generics.split_for_impl();
    // That of an endpoint with parameters is looked at where it is started.
    let names_differ = generics.params.is_empty().then(|| {
        quote!(const _: () = <
            <#me as ::rpc_core::RpcEndpoint>::Gateways as ::rpc_core::GatewayList<#me>
        >::NAMES_DIFFER;)
    });
    Ok(quote! {
        #item

        #names_differ

        #[automatically_derived]
        impl #parameters ::rpc_core::Handles<dyn #gateway> for #me #bounds {
            fn handle(
                batch: &mut ::rpc_core::__private::Batch<'_, Self>,
                request: <dyn #gateway as ::rpc_core::Gateway>::Request,
            ) {
                type __Request = <dyn #gateway as ::rpc_core::Gateway>::Request;
                let method = <dyn #gateway as ::rpc_core::Gateway>::method(&request);
                let info = &<dyn #gateway as ::rpc_core::Gateway>::METHODS[method];
                let _ = info;
                #(#names)*
                match request { #(#arms)* }
            }
        }
    })
}

/// Reads the handlers, no two of which are of one method.
fn handlers(item: &ItemImpl) -> Result<Vec<Handler<'_>>> {
    let mut handlers: Vec<Handler<'_>> = Vec::new();
    for member in &item.items {
        let ImplItem::Fn(function) = member else {
            let message = "a block of handlers has methods only";
            return Err(Error::new(member.span(), message));
        };
        let handler = Handler::parse(function)?;
        if let Some(other) = handlers.iter().find(|it| it.variant == handler.variant) {
            let message = format!(
                "`{}` is a handler of the same method already",
                other.function.sig.ident
            );
            return Err(Error::new(function.sig.ident.span(), message));
        }
        handlers.push(handler);
    }
    Ok(handlers)
}

impl<'a> Handler<'a> {
    fn parse(function: &'a ImplItemFn) -> Result<Self> {
        let signature = &function.sig;
        is_everywhere(&function.attrs)?;
        let mut inputs = signature.inputs.iter().peekable();
        let shape = match inputs.next() {
            Some(FnArg::Receiver(receiver)) => {
                if let Some(word) = &signature.asyncness {
                    let message = "an async handler takes `main: MainThread<'_, Self>` instead of \
                                   `self`: the state cannot be kept over an await";
                    return Err(Error::new(word.span(), message));
                }
                if !matches!(receiver.kind, ReceiverKind::Reference(..)) {
                    let message = "a handler takes `&mut self`";
                    return Err(Error::new(receiver.span(), message));
                }
                // No message holds a reference, so a first argument that is one is the context.
                let context = inputs.peek().is_some_and(|it| is_reference(it));
                if context {
                    inputs.next();
                }
                Shape::Quick { context }
            }
            Some(FnArg::Typed(_)) if signature.asyncness.is_some() => Shape::Interleaving,
            _ => {
                let message = "a handler takes `&mut self`, or is async and takes \
                               `main: MainThread<'_, Self>`";
                return Err(Error::new(signature.ident.span(), message));
            }
        };
        let mut arguments = Vec::new();
        for (place, input) in inputs.enumerate() {
            if is_reference(input) {
                let message = match shape {
                    Shape::Quick { .. } => {
                        "no message holds a reference, and the context comes first"
                    }
                    Shape::Interleaving => {
                        "no message holds a reference, and the context is lent by `main.run`"
                    }
                };
                return Err(Error::new(input.span(), message));
            }
            // An argument too many or too few, or one of another type, is seen where it is.
            let FnArg::Typed(argument) = input else {
                unreachable!("`self` comes first")
            };
            let span = at(argument.ty.span());
            arguments.push(format_ident!("argument{place}", span = span));
        }
        Ok(Self {
            function,
            variant: variant(&signature.ident)?,
            shape,
            arguments,
        })
    }

    /// Says that the gateway has a method of just this name. The variants of its request are told apart by
    /// less, and to name the method itself would keep the compiler from finding that nobody calls it.
    fn name(&self, gateway: &Path) -> TokenStream {
        let name = &self.function.sig.ident;
        let text = name.to_string();
        quote_spanned! { at(name.span()) =>
            const _: () = ::rpc_core::__private::has_method(
                <dyn #gateway as ::rpc_core::Gateway>::METHODS,
                #text,
            );
        }
    }

    /// What becomes of the request.
    ///
    /// A handler with a result answers by returning it. One without has taken all that the request
    /// brings: its `ReplyTo` too, if the method wants an answer.
    fn arm(&self, gateway: &Path) -> TokenStream {
        let signature = &self.function.sig;
        let (name, variant, arguments) = (&signature.ident, &self.variant, &self.arguments);
        let span = at(name.span());
        let answers = match &signature.output {
            ReturnType::Default => None,
            ReturnType::Type(_, output) => Some(at(output.span())),
        };
        let reply = answers.map(|output| quote_spanned!(output => reply));
        let pattern = self.pattern(reply.as_ref());
        let interleaving = |future| {
            quote_spanned! { span => {
                let call = <dyn #gateway as ::rpc_core::Gateway>::reply(&request)
                    .and_then(::rpc_core::__private::AnyReply::call);
                #[allow(irrefutable_let_patterns, reason = "a gateway may have one method")]
                let #pattern = request else {
                    ::std::unreachable!()
                };
                let future = #future;
                batch.leave(::rpc_core::__private::Handling::new(call, future));
            } }
        };
        let body = match (&self.shape, answers) {
            (Shape::Interleaving, Some(output)) => interleaving(quote_spanned! { output =>
                ::rpc_core::__private::interleave(info, reply, Self::#name(batch.interrupt(), #(#arguments),*))
            }),
            (Shape::Interleaving, None) => interleaving(quote_spanned! { span =>
                ::std::boxed::Box::pin(Self::#name(batch.interrupt(), #(#arguments),*))
            }),
            (Shape::Quick { context }, answers) => {
                let cx = context.then(|| quote!(cx,));
                let call = quote_spanned! { span => batch.run(|this, cx| {
                    let _ = &cx;
                    this.#name(#cx #(#arguments),*)
                }) };
                match answers {
                    Some(output) => quote_spanned! { output => reply.answer(#call) },
                    None => call,
                }
            }
        };
        let pattern = match self.shape {
            Shape::Interleaving => quote_spanned!(span => __Request::#variant(..)),
            Shape::Quick { .. } => pattern,
        };
        quote_spanned! { span => #pattern => #body, }
    }

    /// The request with all that it brings. It is where the handler's signature is, so that what the
    /// compiler says of a count that is wrong is about that.
    fn pattern(&self, reply: Option<&TokenStream>) -> TokenStream {
        let signature = &self.function.sig;
        let (variant, arguments) = (&self.variant, &self.arguments);
        let fields = quote!(#(#arguments,)* #reply);
        let mut fields = Group::new(Delimiter::Parenthesis, fields);
        fields.set_span(at(signature.paren_token.span.join()));
        quote_spanned!(at(signature.ident.span()) => __Request::#variant #fields)
    }
}

fn is_reference(argument: &FnArg) -> bool {
    matches!(argument, FnArg::Typed(argument) if matches!(written(&argument.ty), Type::Reference(_)))
}
