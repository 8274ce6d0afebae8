//! Connections under runtimes of all kinds, under other executors and outside of all; as streams and as sinks.

mod support;

use std::task::Poll;
use std::time::Duration;

use futures::{FutureExt as _, SinkExt, StreamExt as _, TryStreamExt as _};
use multiprocess::{Connection, Error, Receiver, Sender, one_way, pipe, wait};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use support::twins::{Handle as _, Twin, on_twins, start};
use support::{DEADLINE, executor, run};
use tokio::runtime::{Builder, Runtime};

on_twins!(a_connection_is_a_stream_and_a_sink);

fn numbers() -> (Receiver<u32>, Sender<u32>) {
    one_way().expect("there are descriptors left")
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// Sends a number from another thread, and receives it.
async fn receive_one(receiver: &Receiver<u32>, sender: &Sender<u32>) {
    let mut receives = Box::pin(receiver.recv());
    assert!((&mut receives).now_or_never().is_none());
    std::thread::scope(|scope| {
        scope.spawn(|| sender.blocking_send(&7).expect("it is open"));
    });
    assert_eq!(receives.await.expect("it was sent"), 7);
}

#[test]
fn values_are_awaited_under_any_executor_and_runtime() {
    let (receiver, sender) = numbers();
    executor::block_on(receive_one(&receiver, &sender));
    current_thread().block_on(receive_one(&receiver, &sender));
    Runtime::new().expect("it can be made").block_on(receive_one(&receiver, &sender));
    executor::block_on(receive_one(&receiver, &sender));
}

#[test]
fn a_runtime_without_io_is_no_obstacle() {
    let runtime = Builder::new_current_thread().build().expect("a runtime can be made");
    let (receiver, sender) = numbers();
    runtime.block_on(receive_one(&receiver, &sender));
    runtime.block_on(async {
        assert_eq!(receiver.recv_timeout(Duration::from_millis(5)).await.expect("it is open"), None);
        assert!(
            wait(&[&receiver], Some(Duration::from_millis(5))).await.expect("it is waited for").is_empty()
        );
    });
}

#[test]
fn a_wait_that_began_in_a_runtime_goes_on_when_that_has_ended() {
    let (receiver, sender) = numbers();
    let runtime = current_thread();
    let mut receives = Box::pin(receiver.recv());
    assert!(runtime.block_on(async { (&mut receives).now_or_never() }).is_none());
    drop(runtime);
    std::thread::scope(|scope| {
        scope.spawn(|| sender.blocking_send(&7).expect("it is open"));
        assert_eq!(executor::block_on(receives).expect("it was sent"), 7);
    });
}

#[test]
fn several_runtimes_wait_for_one_end_at_once() {
    let (receiver, sender) = numbers();
    std::thread::scope(|scope| {
        let take = || current_thread().block_on(async { tokio::try_join!(receiver.recv(), receiver.recv()) });
        let takers = [scope.spawn(take), scope.spawn(take)];
        for number in 0..4 {
            sender.blocking_send(&number).expect("it is open");
        }
        let taken = takers.map(|taker| taker.join().expect("it does not panic").expect("they were sent"));
        let mut taken: Vec<_> = taken.into_iter().flat_map(|(one, other)| [one, other]).collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3]);
    });
}

#[test]
fn many_wait_for_one_end_in_one_runtime_and_one_message_wakes_one() {
    run(async {
        let (receiver, sender) = numbers();
        let receiver = std::sync::Arc::new(receiver);
        let take = |_| {
            let receiver = std::sync::Arc::clone(&receiver);
            tokio::spawn(async move { receiver.recv().await.expect("it was sent") })
        };
        let takers: Vec<_> = (0..50).map(take).collect();
        for number in 0..50 {
            sender.send(&number).await.expect("it is open");
        }
        let mut taken = Vec::new();
        for taker in takers {
            taken.push(taker.await.expect("it does not panic"));
        }
        taken.sort_unstable();
        assert!(taken.into_iter().eq(0..50));
    });
}

#[test]
fn a_receive_that_is_dropped_takes_nothing() {
    run(async {
        let (receiver, sender) = numbers();
        for number in 0..1_000 {
            let mut receives = Box::pin(receiver.recv());
            assert!((&mut receives).now_or_never().is_none());
            sender.send(&number).await.expect("it is open");
            if number % 2 == 0 {
                drop(receives);
                assert_eq!(receiver.recv().await.expect("it is still there"), number);
            } else {
                assert_eq!(receives.await.expect("it was sent"), number);
            }
        }
    });
}

#[test]
fn a_future_that_sends_keeps_nothing_of_its_value_and_can_go_to_another_thread() {
    run(async {
        let (receiver, sender) = one_way::<std::cell::Cell<u32>>().expect("there are descriptors left");
        let receives = tokio::spawn(async move { receiver.recv().await.map(std::cell::Cell::into_inner) });
        let sends = tokio::spawn(async move {
            let value = sender.send(&std::cell::Cell::new(7));
            value.await
        });
        sends.await.expect("it does not panic").expect("it is open");
        assert_eq!(receives.await.expect("it does not panic").expect("it was sent"), 7);
    });
}

#[test]
fn a_value_that_cannot_be_encoded_is_an_error_and_sends_nothing() {
    #[derive(Deserialize)]
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("no"))
        }
    }
    let (receiver, sender) = one_way::<Stubborn>().expect("there are descriptors left");
    match sender.blocking_send(&Stubborn) {
        Err(Error::EncodeMessage { cause }) => assert_eq!(cause, "the type refused to be serialized"),
        other => panic!("unexpected: {other:?}"),
    }
    assert!(receiver.try_recv().expect("it is open").is_none());
}

async fn a_connection_is_a_stream_and_a_sink<T: Twin>() {
    async fn double(connection: Connection<Vec<u8>, Vec<u8>>) {
        let (mut sink, mut stream) = connection.split();
        while let Some(message) = stream.next().await {
            let message = message.expect("it is whole");
            sink.send([&message[..], &message].concat()).await.expect("it is open");
        }
    }
    let (mut ours, theirs) = pipe::<Vec<u8>, Vec<u8>>().expect("there are descriptors left");
    let process = start::<T, _, _, _>(double, (theirs,));
    for length in [0, 10, 20_000, 40_000] {
        ours.send(&vec![1; length]).await.expect("it is open");
        assert_eq!(ours.next().await.expect("it is open").expect("it is whole").len(), 2 * length);
    }
    ours.close();
    process.join().await.expect("it returns");
}

#[test]
fn a_sink_waits_for_room_and_loses_nothing() {
    run(async {
        let (mut receiver, mut sender) = one_way::<Vec<u8>>().expect("there are descriptors left");
        let mut messages = futures::stream::iter((0..100_u8).map(|number| Ok(vec![number; 20_000])));
        let sends = tokio::spawn(async move { sender.send_all(&mut messages).await });
        let mut expected = 0_u8;
        while let Some(message) = receiver.try_next().await.expect("it is whole") {
            assert!(message == vec![expected; 20_000]);
            expected += 1;
        }
        sends.await.expect("it does not panic").expect("it is open");
        assert_eq!(expected, 100);
    });
}

#[test]
fn a_stream_ends_with_the_other_end_and_stays_ended() {
    run(async {
        let (mut receiver, sender) = numbers();
        sender.send(&7).await.expect("it is open");
        drop(sender);
        assert_eq!(receiver.try_next().await.expect("it was sent"), Some(7));
        for _ in 0..2 {
            assert_eq!(receiver.try_next().await.expect("it has ended"), None);
        }
        let pending = std::future::poll_fn(|cx| Poll::Ready(receiver.poll_next_unpin(cx).is_pending()));
        assert!(!pending.await);
    });
}

#[test]
fn a_sink_whose_other_end_is_closed_while_it_waits_fails() {
    run(async {
        let (receiver, mut sender) = one_way::<Vec<u8>>().expect("there are descriptors left");
        while sender.try_send(&vec![1; 20_000]).is_ok() {}
        let sends = tokio::spawn(async move { SinkExt::send(&mut sender, vec![1; 20_000]).await });
        drop(receiver);
        let sent = tokio::time::timeout(DEADLINE, sends).await.expect("it is told");
        assert!(matches!(sent.expect("it does not panic"), Err(Error::Disconnected)));
    });
}
