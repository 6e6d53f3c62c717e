//! A message, written as serde describes it.
//!
//! It is bincode's encoding. What nests is counted here as the [decoder](super::decoder) counts it: what
//! no peer would take is not sent, and a value that is nested without end overflows no stack.

use bincode::config::Configuration;
use bincode::enc::write::Writer;
use bincode::enc::{Encode, EncoderImpl};
use bincode::error::EncodeError;
use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::error::{CodecError, Reason};
use super::{CONFIG, DEPTH_MAX};

/// Where a message is written.
pub(super) struct Output<'a>(EncoderImpl<Appended<'a>, Configuration>);

impl<'a> Output<'a> {
    /// Writes behind the bytes that are there.
    pub(super) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self(EncoderImpl::new(Appended(out), CONFIG))
    }
}

/// Appends to bytes.
struct Appended<'a>(&'a mut Vec<u8>);

impl Writer for Appended<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Writes the next value.
pub(super) struct Encoder<'a, 'o> {
    out: &'a mut Output<'o>,
    /// How many values the next one is nested in.
    depth: u32,
}

impl<'a, 'o> Encoder<'a, 'o> {
    /// Writes a message.
    pub(super) const fn new(out: &'a mut Output<'o>) -> Self {
        Self { out, depth: 0 }
    }

    #[inline]
    fn write(&mut self, value: impl Encode) -> Result<(), CodecError> {
        Ok(value.encode(&mut self.out.0)?)
    }

    /// Goes into a value that has parts.
    #[inline]
    fn enter(self) -> Result<Self, CodecError> {
        if self.depth == DEPTH_MAX {
            return Err(Reason::Depth(DEPTH_MAX).into());
        }
        Ok(Self {
            out: self.out,
            depth: self.depth + 1,
        })
    }

    /// Goes into a value before whose parts comes how many there are, or which they are.
    #[inline]
    fn enter_behind(self, first: impl Encode) -> Result<Self, CodecError> {
        let mut entered = self.enter()?;
        entered.write(first)?;
        Ok(entered)
    }

    #[inline]
    fn enter_counted(self, count: Option<usize>) -> Result<Self, CodecError> {
        let count = count.ok_or_else(|| {
            CodecError::custom("of a sequence or map is to be known how many elements it has")
        })?;
        self.enter_behind(count)
    }

    /// Writes a part.
    #[inline]
    fn part<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), CodecError> {
        part.serialize(Encoder {
            out: self.out,
            depth: self.depth,
        })
    }
}

macro_rules! plain {
    ($($serialize:ident $type:ty,)+) => {
        $(
            #[inline]
            fn $serialize(mut self, value: $type) -> Result<(), CodecError> {
                self.write(value)
            }
        )+
    };
}

impl Serializer for Encoder<'_, '_> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    plain! {
        serialize_bool bool,
        serialize_i8 i8,
        serialize_i16 i16,
        serialize_i32 i32,
        serialize_i64 i64,
        serialize_i128 i128,
        serialize_u8 u8,
        serialize_u16 u16,
        serialize_u32 u32,
        serialize_u64 u64,
        serialize_u128 u128,
        serialize_f32 f32,
        serialize_f64 f64,
        serialize_char char,
        serialize_str &str,
        serialize_bytes &[u8],
    }

    #[inline]
    fn serialize_none(self) -> Result<(), CodecError> {
        self.enter_behind(0_u8).map(drop)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        self.enter_behind(1_u8)?.part(value)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), CodecError> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), CodecError> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), CodecError> {
        self.enter_behind(index).map(drop)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.enter()?.part(value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.enter_behind(index)?.part(value)
    }

    #[inline]
    fn serialize_seq(self, count: Option<usize>) -> Result<Self, CodecError> {
        self.enter_counted(count)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, CodecError> {
        self.enter()
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, CodecError> {
        self.enter()
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, CodecError> {
        self.enter_behind(index)
    }

    #[inline]
    fn serialize_map(self, count: Option<usize>) -> Result<Self, CodecError> {
        self.enter_counted(count)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, CodecError> {
        self.enter()
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, CodecError> {
        self.enter_behind(index)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts of what was entered come one behind the other, whatever it is.
macro_rules! parts {
    ($($what:ident { $($write:ident($($name:ty)?)),+ })+) => {
        $(
            impl $what for Encoder<'_, '_> {
                type Ok = ();
                type Error = CodecError;

                $(
                    #[inline]
                    fn $write<T: Serialize + ?Sized>(
                        &mut self,
                        $(_: $name,)?
                        part: &T,
                    ) -> Result<(), CodecError> {
                        self.part(part)
                    }
                )+

                #[inline]
                fn end(self) -> Result<(), CodecError> {
                    Ok(())
                }
            }
        )+
    };
}

parts! {
    SerializeSeq { serialize_element() }
    SerializeTuple { serialize_element() }
    SerializeTupleStruct { serialize_field() }
    SerializeTupleVariant { serialize_field() }
    SerializeMap { serialize_key(), serialize_value() }
    SerializeStruct { serialize_field(&'static str) }
    SerializeStructVariant { serialize_field(&'static str) }
}
