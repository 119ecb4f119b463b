//! All indexes of a node: which segments are searched, and which lookups fail while one is missing.

use std::path::Path;
use std::sync::Arc;

use super::{FOLDER, Segment, also_of, disk, id_at, segment};
use crate::disk::{Disk, DiskTrouble, MemoryDisk};
use crate::journal::index::{
    FindError, IndexError, Indexes, SealedSegment, aside_path_of, id_second, path_of,
};

/// Three adjacent segments; their ids are some seconds apart.
fn three() -> Vec<Segment> {
    let mut from = 0;
    let each = |seed| {
        let mut one = segment(from, 300, 4, seed);
        for command in one.records.iter_mut().flatten().filter(|command| command.id != 0) {
            command.id += u128::from(seed * 100_000) << 80;
        }
        from = one.last() + 1;
        one
    };
    (1..=3).map(each).collect()
}

fn sealed(model: &Segment) -> SealedSegment {
    let seconds = model.located().filter(|(c, _)| c.id != 0).map(|(c, _)| id_second(c.id));
    let (first, last) = seconds.fold((u64::MAX, 0), |(a, b), s| (a.min(s), b.max(s)));
    SealedSegment { first: model.first, last: model.last(), id_seconds: first..=last }
}

fn open(disk: &MemoryDisk, models: &[Segment]) -> Indexes {
    let all: Vec<_> = models.iter().map(sealed).collect();
    Indexes::open_all(Arc::new(disk.clone()), Path::new(FOLDER), &all)
}

fn built(models: &[Segment]) -> MemoryDisk {
    let disk = disk(1);
    models.iter().for_each(|model| model.build(&disk).unwrap());
    disk
}

fn some_id(model: &Segment) -> u128 {
    model.located().map(|(command, _)| command.id).filter(|id| *id != 0).last().unwrap()
}

#[test]
fn answers_come_from_all_segments() {
    let models = three();
    let disk = built(&models);
    let indexes = open(&disk, &models);
    assert!(indexes.recovering_indexes().is_empty());
    assert_eq!(indexes.last_position(), Some(models[2].last()));
    for model in &models {
        for (command, at) in model.located().step_by(7).filter(|(c, _)| c.id != 0) {
            assert_eq!(indexes.find(command.id), Ok(Some(at)));
            assert_eq!(indexes.command(at.position, at.command), Ok(Some(at)));
        }
    }
    assert_eq!(indexes.command(models[2].last() + 1, 0), Ok(None));
    assert_eq!(indexes.outcomes(models[2].last() + 1), Ok(None));
    assert_eq!(indexes.outcomes(models[1].first), Ok(models[1].outcomes(models[1].first)));

    let newest_first = || models.iter().rev();
    let all: Vec<_> = newest_first().flat_map(|m| m.history(7, None, usize::MAX)).collect();
    assert_eq!(indexes.history(7, None, usize::MAX), Ok(all.clone()));
    let mut walked = Vec::new();
    while walked.len() < all.len() {
        let before = walked.last().map(|at: &super::LocatedCommand| (at.position, at.command));
        walked.extend(indexes.history(7, before, 60).unwrap());
    }
    assert_eq!(walked, all);
}

/// A hold of last month that is captured today: its alias id doesn't widen the seconds of the
/// segment, so fresh ids search no further segments because of it.
#[test]
fn alias_ids_are_found_by_their_seconds_from_a_position_on() {
    let mut models = three();
    let other = also_of(id_at(1_700_000_000_000, 5));
    let command = models[1].records.iter_mut().flatten().last().unwrap();
    command.alias_id = other;
    let expected = models[1].find(other);
    let disk = built(&models);
    let indexes = open(&disk, &models);
    assert!(expected.is_some());
    let (first, last) = (models[1].first, models[1].last());
    for from in [0, first - 1, first, last] {
        assert_eq!(indexes.find_alias(other, from), Ok(expected), "from {from}");
    }
    for from in [last + 1, models[2].last(), models[2].last() + 1, u64::MAX] {
        assert_eq!(indexes.find_alias(other, from), Ok(None), "from {from}");
    }
    assert_eq!(indexes.find(other), Ok(None), "no segment has ids of its second");

    // A segment without alias ids of this second isn't asked, so it may as well be gone.
    indexes.mark_damaged(0, &IndexError::Missing { first: 0 });
    assert_eq!(indexes.find_alias(other, 0), Ok(expected));
    indexes.mark_damaged(first, &IndexError::Missing { first });
    assert_eq!(indexes.find_alias(other, 0), Err(FindError::Recovering { first }));
    // Nothing is known of a segment whose index was never opened: its file was set aside above.
    let indexes = open(&disk, &models);
    assert_eq!(indexes.find_alias(other, 0), Err(FindError::Recovering { first: 0 }));
}

#[test]
fn many_lookups_find_what_single_ones_find() {
    let models = three();
    let disk = built(&models);
    let indexes = open(&disk, &models);
    let all = || models.iter().flat_map(Segment::located);
    let mut ids: Vec<u128> = all().map(|(command, _)| command.id).step_by(3).collect();
    ids.extend(ids.clone().iter().step_by(5).map(|id| id ^ 1));
    ids.extend([0, id_at(1_900_000_000_000, 1), ids[4]]);
    ids.sort_unstable_by_key(|id| id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let singly = |indexes: &Indexes| ids.iter().map(|id| indexes.find(*id)).collect::<Vec<_>>();
    assert_eq!(indexes.find_many(&ids), singly(&indexes));
    assert!(indexes.find_many(&[]).is_empty());
    for id in ids.iter().take(9) {
        assert_eq!(indexes.find_many(&[*id]), [indexes.find(*id)], "few ids ask the filter");
    }
    let mut places: Vec<_> = all().map(|(_, at)| (at.position, at.command)).step_by(2).collect();
    places.extend([(models[2].last() + 1, 0), (models[0].first, u16::MAX)]);
    let single = |place: &(u64, u16)| indexes.command(place.0, place.1);
    assert_eq!(indexes.commands(&places), places.iter().map(single).collect::<Vec<_>>());

    indexes.mark_damaged(models[1].first, &IndexError::Missing { first: models[1].first });
    assert_eq!(indexes.find_many(&ids), singly(&indexes), "only lookups that need it fail");
    assert_eq!(indexes.commands(&places), places.iter().map(single).collect::<Vec<_>>());
}

#[test]
fn only_answers_that_need_a_missing_index_are_refused() {
    let models = three();
    let disk = built(&models);
    disk.remove(&path_of(Path::new(FOLDER), models[1].first)).unwrap();
    let indexes = open(&disk, &models);
    let first = models[1].first;
    let recovering = Err(FindError::Recovering { first });
    assert_eq!(indexes.recovering_indexes()[0].first, first);
    assert!(indexes.recovering_indexes()[0].why.ends_with("has no index"));

    assert_eq!(indexes.find(some_id(&models[0])), Ok(models[0].find(some_id(&models[0]))));
    assert_eq!(indexes.find(some_id(&models[1])), recovering);
    assert_eq!(indexes.find(some_id(&models[2])), Ok(models[2].find(some_id(&models[2]))));
    let fresh = id_at(1_900_000_000_000, 1);
    assert_eq!(indexes.find(fresh), Ok(None), "a fresh id never waits for a rebuild");
    assert!(!indexes.may_contain(fresh));
    assert!(models.iter().all(|model| indexes.may_contain(some_id(model))));
    let absent = some_id(&models[1]) ^ 1;
    assert_eq!(indexes.find(absent), recovering);

    assert_eq!(indexes.history(7, None, 9), Ok(models[2].history(7, None, 9)));
    assert!(indexes.history(7, None, usize::MAX).is_err());
    assert_eq!(indexes.history(7, Some((first, 0)), 9), Ok(models[0].history(7, None, 9)));
    assert!(indexes.command(first, 0).is_err());

    models[1].build(&disk).unwrap();
    indexes.add(sealed(&models[1])).unwrap();
    assert!(indexes.recovering_indexes().is_empty());
    assert_eq!(indexes.find(some_id(&models[1])), Ok(models[1].find(some_id(&models[1]))));
    assert_eq!(indexes.find(absent), Ok(None));
}

#[test]
fn an_index_found_damaged_is_given_up_until_it_is_rebuilt() {
    let models = three();
    let disk = built(&models);
    let indexes = open(&disk, &models);
    let file = disk.open(&path_of(Path::new(FOLDER), models[1].first)).unwrap();
    for block in 1..file.len().unwrap() / 4096 {
        file.write_at(&[0xa5; 3], block * 4096 + 8).unwrap();
    }
    let (first, id) = (models[1].first, some_id(&models[1]));
    assert!(indexes.recovering_indexes().is_empty());
    assert_eq!(indexes.find(id), Err(FindError::Recovering { first }));
    assert_eq!(indexes.find(id), Err(FindError::Recovering { first }));
    assert!(indexes.recovering_indexes()[0].why.contains("checksum doesn't match"));
    assert_eq!(indexes.find(some_id(&models[2])), Ok(models[2].find(some_id(&models[2]))));

    models[1].build(&disk).unwrap();
    indexes.add(sealed(&models[1])).unwrap();
    assert_eq!(indexes.find(id), Ok(models[1].find(id)));

    let why = IndexError::Missing { first };
    indexes.mark_damaged(first, &why);
    assert_eq!(indexes.find(id), Err(FindError::Recovering { first }));
    assert!(indexes.segment_index(first).is_none() && indexes.segment_index(0).is_some());
}

/// A damaged index used to keep its name: after a restart its header was whole and the file was
/// used, until the first lookup that met the damage stopped the node again.
#[test]
fn a_damaged_index_loses_its_name_and_keeps_its_seconds() {
    let models = three();
    let disk = built(&models);
    let indexes = open(&disk, &models);
    let (first, id) = (models[1].first, some_id(&models[1]));
    let path = path_of(Path::new(FOLDER), first);
    let file = disk.open(&path).unwrap();
    for block in 1..file.len().unwrap() / 4096 {
        file.write_at(&[0xa5; 3], block * 4096 + 8).unwrap();
    }
    assert_eq!(indexes.find(id), Err(FindError::Recovering { first }));
    disk.crash();
    assert!(disk.open(&path).is_err(), "a start finds no index here");
    assert!(disk.open(&aside_path_of(Path::new(FOLDER), first)).is_ok(), "it's kept");

    // Without the seconds of its header every new id would have to wait for the rebuild.
    let everywhere = SealedSegment { id_seconds: 0..=u64::MAX, ..sealed(&models[1]) };
    let again = open(&disk, &models[..1]);
    again.add(everywhere.clone()).unwrap_err();
    let fresh = id_at(1_900_000_000_000, 1);
    assert_eq!(again.find(fresh), Err(FindError::Recovering { first }), "its seconds are unknown");
    assert_eq!(indexes.find(fresh), Ok(None));

    models[1].build(&disk).unwrap();
    again.add(everywhere).unwrap();
    assert_eq!(again.find(id), Ok(models[1].find(id)));
    assert_eq!(again.find(fresh), Ok(None));
}

#[test]
fn an_index_that_ends_elsewhere_than_its_segment_is_not_used() {
    let models = three();
    let disk = built(&models);
    let indexes = open(&disk, &models[..1]);
    let longer = SealedSegment { last: models[1].last() + 1, ..sealed(&models[1]) };
    assert!(matches!(indexes.add(longer), Err(IndexError::OtherSegment { .. })));
    assert_eq!(indexes.recovering_indexes().len(), 1);
}

#[test]
fn more_segments_than_open_files_all_answer() {
    let models: Vec<_> = (0..600)
        .map(|n| {
            let mut one = segment(n * 3, 2, 3, n + 1);
            one.records.push(vec![super::CommandRow {
                id: id_at(n * 5_000, n),
                alias_id: 0,
                debit: Some(1),
                credit: Some(7),
                outcome: super::OutcomeRow::default(),
                part: super::Part::default(),
            }]);
            one
        })
        .collect();
    let disk = built(&models);
    let indexes = open(&disk, &models);
    for n in (0..600).chain([0, 599]) {
        let found = indexes.find(id_at(n * 5_000, n)).unwrap().unwrap();
        assert_eq!(found.position, n * 3 + 2);
    }
    let expected: usize = models.iter().map(|m| m.history(7, None, usize::MAX).len()).sum();
    assert_eq!(indexes.history(7, None, usize::MAX).unwrap().len(), expected);
    assert!(indexes.files_open() <= 256);
}

/// A process without a free descriptor used to rename whole indexes, one lookup after the other.
#[test]
fn an_index_that_can_not_be_opened_is_kept_and_read_later() {
    let models = three();
    let disk = built(&models);
    let indexes = open(&disk, &models);
    let (first, id) = (models[1].first, some_id(&models[1]));
    disk.set_trouble(DiskTrouble { no_descriptors: true, ..DiskTrouble::default() });
    assert_eq!(indexes.find(id), Ok(models[1].find(id)), "its file is open");
    indexes.close_files();
    for _ in 0..2 {
        let found = indexes.find(id);
        assert!(matches!(found, Err(FindError::Unreadable { .. })), "{found:?}");
        assert!(matches!(&indexes.find_many(&[id])[..], [Err(FindError::Unreadable { .. })]));
        assert!(matches!(indexes.command(first, 0), Err(FindError::Unreadable { .. })));
    }
    assert!(indexes.recovering_indexes().is_empty());
    disk.set_trouble(DiskTrouble::default());
    assert!(disk.open(&aside_path_of(Path::new(FOLDER), first)).is_err(), "nothing is set aside");
    assert_eq!(indexes.find(id), Ok(models[1].find(id)));

    disk.set_trouble(DiskTrouble { unreadable: true, ..DiskTrouble::default() });
    assert_eq!(indexes.find(id), Err(FindError::Recovering { first }), "the medium lost it");
}

#[test]
fn an_index_is_opened_before_its_segment_counts_as_sealed() {
    let models = three();
    let disk = built(&models);
    let indexes = open(&disk, &models[..2]);
    let third = sealed(&models[2]);
    disk.set_trouble(DiskTrouble { no_descriptors: true, ..DiskTrouble::default() });
    let error = indexes.open_index(&third).map(drop).unwrap_err();
    assert!(error.is_transient() && !error.proves_damage(), "{error}");
    disk.set_trouble(DiskTrouble::default());
    let opened = indexes.open_index(&third).unwrap();
    assert_eq!(indexes.last_position(), Some(models[1].last()));
    indexes.put(third, opened);
    assert_eq!(indexes.last_position(), Some(models[2].last()));
}
