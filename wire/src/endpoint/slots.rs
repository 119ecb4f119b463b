//! Bounds the number of concurrent connections, in total and per address, so that a flood from one
//! address leaves slots for others.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// A bounded number of slots.
#[derive(Clone, Debug)]
pub(crate) struct SlotPool(Arc<SharedPool>);

#[derive(Debug)]
struct SharedPool {
    taken: Mutex<TakenSlots>,
    all_max: usize,
    address_max: usize,
}

#[derive(Debug, Default)]
struct TakenSlots {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl SlotPool {
    /// Creates a pool with at most `all_max` slots, at most `address_max` of them per address.
    pub(crate) fn new(all_max: usize, address_max: usize) -> Self {
        Self(Arc::new(SharedPool { taken: Mutex::default(), all_max, address_max }))
    }

    /// Takes a slot, if one is free.
    pub(crate) fn take_slot(&self, address: IpAddr) -> Option<Slot> {
        let address = network_of(address);
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.all >= self.0.all_max || own >= self.0.address_max {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, own + 1);
        Some(Slot { room: self.0.clone(), address })
    }

    /// The number of slots taken.
    pub(crate) fn taken_count(&self) -> usize {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

/// One slot, freed on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    room: Arc<SharedPool>,
    address: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let own = taken.by_address.get_mut(&self.address).expect("a taken slot is counted");
        *own -= 1;
        if *own == 0 {
            taken.by_address.remove(&self.address);
        }
    }
}

/// Maps an IPv6 address to its /64 network, since one host has all addresses of its network.
fn network_of(address: IpAddr) -> IpAddr {
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
        let places = SlotPool::new(4, 3);
        let (flood, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let held: Vec<Slot> = std::iter::from_fn(|| places.take_slot(flood)).collect();
        assert_eq!(held.len(), 3);
        let last = places.take_slot(other).unwrap();
        assert!(places.take_slot(other).is_none(), "all four are taken");
        drop(held);
        assert_eq!(places.taken_count(), 1);
        drop(last);
        assert_eq!(places.taken_count(), 0);
        assert!(places.0.taken.lock().unwrap().by_address.is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_ipv4_address_is_itself() {
        let parse = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:2"));
        assert_ne!(parse("2001:db8:0:1::1"), parse("2001:db8:0:2::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), parse("10.0.0.1"));
    }
}
