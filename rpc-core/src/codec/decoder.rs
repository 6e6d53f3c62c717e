//! serde's view of a message, under the limits.
//!
//! A value is paid for before it is made. The elements of a sequence or map are, all at once, when
//! the first of them is asked for: until then the collection has reserved no more elements than
//! there are bytes, and at most serde's 1 MiB. What is larger than the place that it goes to is in
//! a box, and is paid for by itself. So what is allocated for hostile bytes is a small multiple of
//! the allowance: what a growing vector, a table or a tree leaves empty is not counted.

use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::DEPTH_MAX;
use super::error::{CodecError, Reason, Step};
use super::input::Input;

/// Where the next value is read.
pub(super) struct Decoder<'a, 'de> {
    input: &'a mut Input<'de>,
    /// How many values the next one is nested in.
    depth: u32,
    /// The size of the place that the value goes to, which is paid for.
    place: usize,
}

impl<'a, 'de> Decoder<'a, 'de> {
    /// Reads a message of type `T`.
    pub(super) const fn new<T>(input: &'a mut Input<'de>) -> Self {
        Self {
            input,
            depth: 0,
            place: size_of::<T>(),
        }
    }

    /// Pays for a value that may be in a box.
    #[inline]
    fn pay<T>(&mut self) -> Result<(), CodecError> {
        let size = size_of::<T>();
        if size > self.place {
            self.input.charge(1, size)?;
        }
        Ok(())
    }

    /// Goes into a value of type `T`, which has parts.
    #[inline]
    fn enter<T>(mut self) -> Result<Self, CodecError> {
        if self.depth == DEPTH_MAX {
            return Err(Reason::Depth(DEPTH_MAX).into());
        }
        self.pay::<T>()?;
        Ok(Self {
            input: self.input,
            depth: self.depth + 1,
            place: size_of::<T>(),
        })
    }

    /// Reads a part whose place is already paid for.
    #[inline]
    fn part<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, CodecError> {
        seed.deserialize(Decoder {
            input: self.input,
            depth: self.depth,
            place: size_of::<T::Value>(),
        })
    }

    #[inline]
    fn fields<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        count: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_seq(Fields {
            decoder: self,
            names,
            next: 0,
            count,
        })
    }
}

macro_rules! plain {
    ($($deserialize:ident $visit:ident)+) => {
        $(
            #[inline]
            fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
                visitor.$visit(self.input.read()?)
            }
        )+
    };
}

impl<'de> Deserializer<'de> for Decoder<'_, 'de> {
    type Error = CodecError;

    plain! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_i128 visit_i128
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_u128 visit_u128
        deserialize_f32 visit_f32
        deserialize_f64 visit_f64
        deserialize_char visit_char
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, CodecError> {
        self.pay::<V::Value>()?;
        let text = std::str::from_utf8(self.input.read_bytes()?).map_err(CodecError::custom)?;
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, CodecError> {
        self.pay::<V::Value>()?;
        visitor.visit_borrowed_bytes(self.input.read_bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let inner = self.enter::<V::Value>()?;
        match inner.input.read::<u8>()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(inner),
            tag => Err(CodecError::custom(format_args!(
                "an option's tag is 0 or 1, and not {tag}"
            ))),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_newtype_struct(self.enter::<V::Value>()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let decoder = self.enter::<V::Value>()?;
        let count = decoder.input.read()?;
        visitor.visit_seq(Elements {
            decoder,
            next: 0,
            count,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.enter::<V::Value>()?.fields(&[], count, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.enter::<V::Value>()?.fields(&[], count, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let decoder = self.enter::<V::Value>()?;
        let count = decoder.input.read()?;
        visitor.visit_map(Elements {
            decoder,
            next: 0,
            count,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.enter::<V::Value>()?
            .fields(names, names.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_enum(self.enter::<V::Value>()?)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, CodecError> {
        Err(undescribed())
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, CodecError> {
        Err(undescribed())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, CodecError> {
        Err(undescribed())
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl<'de> EnumAccess<'de> for Decoder<'_, 'de> {
    type Error = CodecError;
    type Variant = Self;

    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self), CodecError> {
        let index: u32 = self.input.read()?;
        let index: U32Deserializer<CodecError> = index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Decoder<'_, 'de> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<(), CodecError> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        mut self,
        seed: T,
    ) -> Result<T::Value, CodecError> {
        self.part(seed)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(
        self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.fields(&[], count, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.fields(names, names.len(), visitor)
    }
}

/// The fields of a struct, a tuple or a variant: they are inside of a value that is paid for.
struct Fields<'a, 'de> {
    decoder: Decoder<'a, 'de>,
    /// The fields' names; none if they have none.
    names: &'static [&'static str],
    next: usize,
    count: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = CodecError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CodecError> {
        let index = self.next;
        if index == self.count {
            return Ok(None);
        }
        self.next += 1;
        match self.decoder.part(seed) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(error.at(match self.names.get(index) {
                Some(name) => Step::Field(name),
                None => Step::Element(index),
            })),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count - self.next)
    }
}

/// The elements of a sequence, or the entries of a map, of which the message says how many follow.
struct Elements<'a, 'de> {
    decoder: Decoder<'a, 'de>,
    next: usize,
    count: usize,
}

impl<'de> Elements<'_, 'de> {
    /// Reads a part of an element, of which there are as many as there are elements.
    #[inline]
    fn part<T: DeserializeSeed<'de>>(
        &mut self,
        index: usize,
        seed: T,
    ) -> Result<T::Value, CodecError> {
        if index == 0 {
            let size = size_of::<T::Value>().max(1);
            self.decoder.input.charge(self.count, size)?;
        }
        match self.decoder.part(seed) {
            Ok(value) => Ok(value),
            Err(error) => Err(error.at(Step::Element(index))),
        }
    }

    /// How many may be reserved: the peer's word is not worth more than its bytes.
    fn hint(&self) -> Option<usize> {
        Some((self.count - self.next).min(self.decoder.input.len()))
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = CodecError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CodecError> {
        if self.next == self.count {
            return Ok(None);
        }
        self.next += 1;
        self.part(self.next - 1, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = CodecError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, CodecError> {
        self.next_element_seed(seed)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, CodecError> {
        // A value is only asked for after its key.
        self.part(self.next.saturating_sub(1), seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

#[cold]
fn undescribed() -> CodecError {
    CodecError::custom("the encoding does not describe itself, as the type wants it to")
}
