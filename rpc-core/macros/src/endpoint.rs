//! `#[rpc_endpoint]`: from an impl block of handlers to an exhaustive match over the requests.

use proc_macro2::TokenStream;
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
    let mut arms = Vec::new();
    for member in &item.items {
        match member {
            ImplItem::Fn(function) => arms.push(Handler::parse(function)?.arm(gateway)?),
            other => {
                return Err(Error::new(
                    other.span(),
                    "a block of handlers has methods only",
                ));
            }
        }
    }
    item.attrs.push(parse_quote!(#[allow(
        clippy::needless_pass_by_ref_mut,
        clippy::needless_pass_by_value,
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the shape of a handler is given"
    )]));
    let (me, generics) = (&item.self_ty, &item.generics);
    let (parameters, _, bounds) = generics.split_for_impl();
    Ok(quote! {
        #item

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
                match request { #(#arms)* }
            }
        }
    })
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
        let arguments = (0..inputs.count()).map(|place| format_ident!("argument{place}"));
        Ok(Self {
            function,
            shape,
            arguments: arguments.collect(),
        })
    }

    /// What becomes of the request.
    ///
    /// A handler with a result answers by returning it. One without has taken all that the request
    /// brings: its `ReplyTo` too, if the method wants an answer.
    fn arm(&self, gateway: &Path) -> Result<TokenStream> {
        let signature = &self.function.sig;
        let (name, arguments) = (&signature.ident, &self.arguments);
        let (variant, span) = (variant(name)?, at(signature.ident.span()));
        let answers = match &signature.output {
            ReturnType::Default => None,
            ReturnType::Type(_, output) => Some(at(output.span())),
        };
        let reply = answers.map(|_| quote!(reply));
        let interleaving = |future| {
            quote_spanned! { span => {
                let call = <dyn #gateway as ::rpc_core::Gateway>::reply(&request).and_then(|it| it.call());
                #[allow(irrefutable_let_patterns, reason = "a gateway may have one method")]
                let __Request::#variant(#(#arguments,)* #reply) = request else {
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
            Shape::Interleaving => quote!(__Request::#variant(..)),
            Shape::Quick { .. } => quote!(__Request::#variant(#(#arguments,)* #reply)),
        };
        Ok(quote_spanned! { span => #pattern => #body, })
    }
}

fn is_reference(argument: &FnArg) -> bool {
    matches!(argument, FnArg::Typed(argument) if matches!(written(&argument.ty), Type::Reference(_)))
}
