//! What stands between a type's `Deserialize` and postcard: the deserializer it sees, and the visitor that postcard sees.

use std::fmt;

use serde::de::{self, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};

use super::access::{BudgetedEnum, BudgetedMap, BudgetedSeq};
use super::{Budget, Failure, UNIT_COST};

/// A deserializer that charges a budget for what it reads from `source`.
pub(super) struct Budgeted<'b, D> {
    pub(super) source: D,
    pub(super) budget: &'b mut Budget,
    /// The size of the slot that the value is decoded for, which is charged already.
    pub(super) paid: usize,
}

impl<'de, D: Deserializer<'de>> Budgeted<'_, D> {
    /// Reads a value without levels of its own.
    #[inline]
    fn flat<V: Visitor<'de>>(
        self,
        visitor: V,
        read: impl FnOnce(D, BudgetedVisitor<'_, V>) -> Result<V::Value, D::Error>,
    ) -> Result<V::Value, Failure<D::Error>> {
        let visitor = BudgetedVisitor { visitor, budget: &mut *self.budget, elements: Elements::Paid };
        read(self.source, visitor).map_err(|error| self.budget.unstow(error))
    }

    /// Reads a value that is one level of the nesting.
    #[inline]
    fn nested<V: Visitor<'de>>(
        self,
        visitor: V,
        elements: Elements,
        read: impl FnOnce(D, BudgetedVisitor<'_, V>) -> Result<V::Value, D::Error>,
    ) -> Result<V::Value, Failure<D::Error>> {
        self.budget.enter(size_of::<V::Value>().saturating_sub(self.paid))?;
        let visitor = BudgetedVisitor { visitor, budget: &mut *self.budget, elements };
        let outcome = read(self.source, visitor);
        self.budget.leave();
        outcome.map_err(|error| self.budget.unstow(error))
    }
}

macro_rules! read_flat {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.flat(visitor, |source, visitor| source.$method(visitor))
        }
    )*};
}

macro_rules! read_nested {
    ($($method:ident($($argument:ident: $type:ty),*) $elements:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            self.nested(visitor, Elements::$elements, |source, visitor| source.$method($($argument,)* visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Budgeted<'_, D> {
    type Error = Failure<D::Error>;

    read_flat! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    read_nested! {
        deserialize_option() Paid
        deserialize_newtype_struct(name: &'static str) Paid
        deserialize_seq() Charged
        deserialize_tuple(len: usize) Paid
        deserialize_tuple_struct(name: &'static str, len: usize) Paid
        deserialize_map() Charged
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) Paid
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) Paid
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.flat(visitor, |source, visitor| source.deserialize_unit_struct(name, visitor))
    }

    /// Fixed, because the number of an enum variant arrives through a deserializer of serde that claims to be
    /// readable.
    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Whether elements cost memory of their own, or are part of a parent that has been paid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Elements {
    Charged,
    Paid,
}

impl Elements {
    /// The cost of one element of type `T`; never 0 for a charged one, because its number is up to the input. One of
    /// no size costs no memory, but the time to go through them all.
    #[inline]
    pub(super) fn cost<T>(self) -> usize {
        match self {
            Self::Charged if size_of::<T>() == 0 => UNIT_COST,
            Self::Charged => size_of::<T>(),
            Self::Paid => 0,
        }
    }
}

/// The visitor of the type, told of compounds only through the adapters below.
pub(super) struct BudgetedVisitor<'b, V> {
    pub(super) visitor: V,
    pub(super) budget: &'b mut Budget,
    pub(super) elements: Elements,
}

macro_rules! visit_number {
    ($($method:ident: $type:ty,)*) => {$(
        #[inline]
        fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value).map_err(|failure| self.budget.stow(failure))
        }
    )*};
}

macro_rules! visit_buffer {
    ($($method:ident: $type:ty,)*) => {$(
        #[inline]
        fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
            let charged = self.budget.charge(value.len());
            charged.and_then(|()| self.visitor.$method(value)).map_err(|failure| self.budget.stow(failure))
        }
    )*};
}

macro_rules! visit_nothing {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<E: de::Error>(self) -> Result<V::Value, E> {
            self.visitor.$method().map_err(|failure| self.budget.stow(failure))
        }
    )*};
}

macro_rules! visit_wrapped {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<D: Deserializer<'de>>(self, source: D) -> Result<V::Value, D::Error> {
            let within = Budgeted { source, budget: &mut *self.budget, paid: size_of::<V::Value>() };
            self.visitor.$method(within).map_err(|failure| self.budget.stow(failure))
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for BudgetedVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    visit_number! {
        visit_bool: bool, visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64, visit_i128: i128,
        visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64, visit_u128: u128,
        visit_f32: f32, visit_f64: f64, visit_char: char,
    }

    visit_buffer! {
        visit_str: &str, visit_borrowed_str: &'de str, visit_string: String,
        visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8], visit_byte_buf: Vec<u8>,
    }

    visit_nothing! { visit_none visit_unit }

    visit_wrapped! { visit_some visit_newtype_struct }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = BudgetedSeq { access, budget: &mut *self.budget, elements: self.elements, begun: false };
        self.visitor.visit_seq(access).map_err(|failure| self.budget.stow(failure))
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = BudgetedMap { access, budget: &mut *self.budget, elements: self.elements, begun: false };
        self.visitor.visit_map(access).map_err(|failure| self.budget.stow(failure))
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = BudgetedEnum { access, budget: &mut *self.budget };
        self.visitor.visit_enum(access).map_err(|failure| self.budget.stow(failure))
    }
}
