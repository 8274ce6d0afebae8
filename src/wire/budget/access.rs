//! The elements of sequences, maps and enums, each charged before it is decoded.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::visitor::{Budgeted, BudgetedVisitor, Elements};
use super::{Budget, Failure, MAX_HINT};

/// One element, key or value, which is charged when it turns out to be there.
struct BudgetedSeed<'b, S> {
    seed: S,
    pub(super) budget: &'b mut Budget,
    cost: usize,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for BudgetedSeed<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<S::Value, D::Error> {
        let charged = self.budget.charge(self.cost);
        let within = Budgeted { source, budget: &mut *self.budget, paid: size_of::<S::Value>() };
        charged.and_then(|()| self.seed.deserialize(within)).map_err(|failure| self.budget.stow(failure))
    }
}

pub(super) struct BudgetedSeq<'b, A> {
    pub(super) access: A,
    pub(super) budget: &'b mut Budget,
    pub(super) elements: Elements,
    pub(super) begun: bool,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for BudgetedSeq<'_, A> {
    type Error = Failure<A::Error>;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Self::Error> {
        let cost = self.elements.cost::<S::Value>();
        if !self.begun {
            self.begun = true;
            self.budget.foresee(self.access.size_hint(), cost)?;
        }
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost };
        self.access.next_element_seed(seed).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint().map(|elements| elements.min(MAX_HINT))
    }
}

pub(super) struct BudgetedMap<'b, A> {
    pub(super) access: A,
    pub(super) budget: &'b mut Budget,
    pub(super) elements: Elements,
    pub(super) begun: bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for BudgetedMap<'_, A> {
    type Error = Failure<A::Error>;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        let cost = self.elements.cost::<S::Value>();
        if !self.begun {
            self.begun = true;
            self.budget.foresee(self.access.size_hint(), cost)?;
        }
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost };
        self.access.next_key_seed(seed).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Self::Error> {
        let cost = self.elements.cost::<S::Value>();
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost };
        self.access.next_value_seed(seed).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint().map(|entries| entries.min(MAX_HINT))
    }
}

pub(super) struct BudgetedEnum<'b, A> {
    pub(super) access: A,
    pub(super) budget: &'b mut Budget,
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for BudgetedEnum<'b, A> {
    type Error = Failure<A::Error>;
    type Variant = BudgetedVariant<'b, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), Self::Error> {
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost: 0 };
        match self.access.variant_seed(seed) {
            Ok((value, access)) => Ok((value, BudgetedVariant { access, budget: self.budget })),
            Err(error) => Err(self.budget.unstow(error)),
        }
    }
}

pub(super) struct BudgetedVariant<'b, A> {
    pub(super) access: A,
    pub(super) budget: &'b mut Budget,
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for BudgetedVariant<'_, A> {
    type Error = Failure<A::Error>;

    #[inline]
    fn unit_variant(self) -> Result<(), Self::Error> {
        self.access.unit_variant().map_err(Failure::wire)
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Self::Error> {
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost: 0 };
        self.access.newtype_variant_seed(seed).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        let visitor = BudgetedVisitor { visitor, budget: &mut *self.budget, elements: Elements::Paid };
        self.access.tuple_variant(len, visitor).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let visitor = BudgetedVisitor { visitor, budget: &mut *self.budget, elements: Elements::Paid };
        self.access.struct_variant(fields, visitor).map_err(|error| self.budget.unstow(error))
    }
}
