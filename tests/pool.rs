//! The pool's face, on processes and on threads.

mod support;

use multiprocess::{Kind, Pool};
use support::on_both;

// C131
async fn a_map_keeps_the_order_of_its_input<K: Kind>() {
    let pool = Pool::<K>::new(2).expect("the pool starts");
    let squares = pool.map(|x: u64| x * x, 0..1_000).await.expect("no task fails");
    assert!(squares.iter().zip(0..).all(|(square, x)| *square == x * x));
    pool.shutdown().await.expect("it ends");
}

on_both!(a_map_keeps_the_order_of_its_input);
