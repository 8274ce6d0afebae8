//! Types that hostile bytes have been written for, and some that programs use.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum List {
    Nil,
    Cons(Box<Self>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree(Vec<Self>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    next: Option<Box<Self>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Fields {
    Tuple(u8, Box<Self>),
    Struct { next: Box<Self> },
    End,
}

pub type Sparse = Option<[u64; 32]>;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Nest(BTreeMap<u8, Self>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Json {
    Null,
    Flag(bool),
    Number(i64),
    Text(String),
    Array(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixed {
    letter: char,
    number: u128,
    small: Option<NonZeroU8>,
    address: IpAddr,
    duration: Duration,
    bytes: Vec<u8>,
    nothing: (),
    outcomes: Vec<Result<Json, String>>,
    shared: HashMap<i16, Box<[List]>>,
}
