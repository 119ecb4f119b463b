//! Bounds the number of concurrent connections, in total and per holder (an address, or a node that
//! has shown its certificate), so that a flood from one holder leaves slots for others.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// A bounded number of slots, each taken by a holder.
#[derive(Debug)]
pub struct SlotPool<H: Holder = IpAddr>(Arc<SharedPool<H>>);

/// What slots are counted by: an address, or a node.
pub trait Holder: Copy + Eq + Hash + fmt::Debug + Send + Sync {
    /// What counts as one holder: an IPv6 host has all addresses of its /64 network.
    #[must_use]
    fn counted_as(self) -> Self {
        self
    }
}

impl Holder for u64 {}

impl Holder for IpAddr {
    fn counted_as(self) -> Self {
        network_of(self)
    }
}

#[derive(Debug)]
struct SharedPool<H> {
    taken: Mutex<TakenSlots<H>>,
    all_max: usize,
    holder_max: usize,
}

#[derive(Debug)]
struct TakenSlots<H> {
    all: usize,
    by_holder: HashMap<H, usize>,
}

impl<H: Holder> Clone for SlotPool<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<H: Holder> SlotPool<H> {
    /// Creates a pool with at most `all_max` slots, at most `holder_max` of them per holder.
    #[must_use]
    pub fn new(all_max: usize, holder_max: usize) -> Self {
        let taken = Mutex::new(TakenSlots { all: 0, by_holder: HashMap::new() });
        Self(Arc::new(SharedPool { taken, all_max, holder_max }))
    }

    /// Takes a slot, if one is free.
    #[must_use]
    pub fn take_slot(&self, holder: H) -> Option<Slot<H>> {
        let holder = holder.counted_as();
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_holder.get(&holder).copied().unwrap_or(0);
        if taken.all >= self.0.all_max || own >= self.0.holder_max {
            return None;
        }
        taken.all += 1;
        taken.by_holder.insert(holder, own + 1);
        Some(Slot { room: self.0.clone(), holder })
    }

    /// The number of slots taken.
    #[must_use]
    pub fn taken_count(&self) -> usize {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

/// One slot, freed on drop.
#[derive(Debug)]
pub struct Slot<H: Holder = IpAddr> {
    room: Arc<SharedPool<H>>,
    holder: H,
}

impl<H: Holder> Drop for Slot<H> {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let own = taken.by_holder.get_mut(&self.holder).expect("a taken slot is counted");
        *own -= 1;
        if *own == 0 {
            taken.by_holder.remove(&self.holder);
        }
    }
}

/// Maps an IPv6 address to its /64 network, since one host has all addresses of its network.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others_and_places_come_back() {
        let places = SlotPool::<IpAddr>::new(4, 3);
        let (flood, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let held: Vec<Slot> = std::iter::from_fn(|| places.take_slot(flood)).collect();
        assert_eq!(held.len(), 3);
        let last = places.take_slot(other).unwrap();
        assert!(places.take_slot(other).is_none(), "all four are taken");
        drop(held);
        assert_eq!(places.taken_count(), 1);
        drop(last);
        assert_eq!(places.taken_count(), 0);
        assert!(places.0.taken.lock().unwrap().by_holder.is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_ipv4_address_is_itself() {
        let parse = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:2"));
        assert_ne!(parse("2001:db8:0:1::1"), parse("2001:db8:0:2::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), parse("10.0.0.1"));
    }
}
