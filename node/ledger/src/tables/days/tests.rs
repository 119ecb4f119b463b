//! Business days.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows panics, as it should")]

use evenkeel_wire::transfer::TransferKind;

use super::*;

const KRW: u8 = 0;
const POINT: u8 = 1;

/// Days, and sums that change with the movements, as in the ledger.
struct Bookkeeping {
    days: Days,
    sums: Vec<KindSums>,
}

fn assets() -> Vec<Asset> {
    ["KRW", "POINT"].map(|name| Asset::parse(name).unwrap()).to_vec()
}

fn date(text: &str) -> BusinessDate {
    BusinessDate::parse(text).unwrap()
}

fn head(position: u64) -> EntryHead {
    let link = [u8::try_from(position).unwrap(); 32];
    EntryHead { position, term: 1, time: 5, link }
}

impl Bookkeeping {
    fn bootstrapped() -> Self {
        let mut days = Days::new();
        days.bootstrap(&assets(), date("2026-11-26"));
        Self { days, sums: vec![[0; KINDS]; 2] }
    }

    fn transfer(&mut self, flow: Flow, asset: u8, amount: u64) {
        self.days.count_movement(flow, asset, amount);
        let sums = &mut self.sums[usize::from(asset)];
        sums[column(flow.payer())] -= i128::from(amount);
        sums[column(flow.payee())] += i128::from(amount);
    }

    /// As the rule closes a day.
    fn close(&mut self, next: &str, position: u64) -> OpenDay {
        self.days.check(&self.sums, position).unwrap();
        self.days.close(date(next), &self.sums, &head(position))
    }

    fn view(&self, text: &str) -> DayView {
        self.days.report(date(text)).unwrap()
    }
}

fn flow(kind: TransferKind, payer: AccountKind, payee: AccountKind) -> Flow {
    Flow::of_movement(kind, payer, payee).unwrap()
}

fn top_up() -> Flow {
    flow(TransferKind::TopUp, AccountKind::Bank, AccountKind::Wallet)
}

#[test]
fn opening_and_movements_make_closing() {
    use AccountKind::{Bank, Fee, Issuer, Merchant, Wallet};
    use TransferKind::{CashOut, Grant, Payment, Refund, Reversal};
    let mut books = Bookkeeping::bootstrapped();
    books.transfer(top_up(), KRW, 1_000);
    books.close("2026-11-27", 7);
    books.transfer(flow(Payment, Wallet, Merchant), KRW, 300);
    books.transfer(flow(Payment, Wallet, Merchant), KRW, 100);
    books.transfer(flow(Refund, Merchant, Wallet), KRW, 50);
    books.transfer(flow(TransferKind::Fee, Merchant, Fee), KRW, 3);
    books.transfer(flow(TransferKind::Fee, Wallet, Fee), KRW, 4);
    books.transfer(flow(CashOut, Merchant, Bank), KRW, 200);
    books.transfer(flow(CashOut, Wallet, Bank), KRW, 20);
    books.transfer(flow(Reversal, Bank, Merchant), KRW, 200);
    books.transfer(flow(Reversal, Fee, Wallet), KRW, 4);
    books.transfer(flow(Grant, Issuer, Wallet), POINT, 9);
    books.close("2026-11-28", 9);

    let first = books.view("2026-11-26");
    let view = books.view("2026-11-27");
    assert_eq!((first.first_position, first.last_position, first.link), (0, 7, [7; 32]));
    assert_eq!((view.first_position, view.last_position, view.link), (8, 9, [9; 32]));
    let [krw, point] = &view.assets[..] else { panic!("two assets") };
    assert_eq!(krw.opening, first.assets[0].closing, "one day's closing is the next one's opening");
    let sums = |row: &evenkeel_wire::reply::AssetTotals| {
        [row.wallet, row.merchant, row.bank, row.fee, row.issuer]
    };
    assert_eq!(sums(&krw.opening), [1_000, 0, -1_000, 0, 0]);
    assert_eq!(sums(&krw.closing), [630, 347, -980, 3, 0]);
    assert_eq!(sums(&point.closing), [9, 0, 0, 0, -9]);
    let moved = |asset: &evenkeel_wire::reply::DayAsset| -> Vec<_> {
        asset.movements.iter().map(|row| (row.kind, row.count, row.sum)).collect()
    };
    let expected = [
        (Payment, 2, 400),
        (CashOut, 2, 220),
        (TransferKind::Fee, 2, 7),
        (Refund, 1, 50),
        (Reversal, 2, 204),
    ];
    assert_eq!(moved(krw), expected);
    assert_eq!(moved(point), [(Grant, 1, 9)]);
}

#[test]
fn a_skipped_day_is_empty() {
    let mut books = Bookkeeping::bootstrapped();
    books.transfer(top_up(), KRW, 5);
    books.close("2026-11-30", 7);
    books.close("2026-12-01", 8);
    let (closed, skipped) = (books.view("2026-11-26"), books.view("2026-11-28"));
    assert_eq!(skipped.date, date("2026-11-28"));
    assert_eq!((skipped.first_position, skipped.last_position), (8, 7));
    assert_eq!(skipped.assets[0].opening, closed.assets[0].closing);
    assert_eq!(skipped.assets[0].closing, closed.assets[0].closing);
    assert!(skipped.assets[0].movements.is_empty());
    assert_eq!(books.view("2026-11-30").first_position, 8);
    for unknown in ["2026-11-25", "2026-12-01", "2026-12-02"] {
        assert_eq!(books.days.report(date(unknown)), None, "{unknown}");
    }
}

#[test]
fn figures_that_do_not_add_up_are_named() {
    let mut books = Bookkeeping::bootstrapped();
    books.transfer(top_up(), KRW, 100);
    books.sums[0][column(AccountKind::Wallet)] -= 1;
    let what = books.days.check(&books.sums, 7).unwrap_err();
    assert_eq!(
        what.to_string(),
        "position 7: day 2026-11-26: wallet accounts opened with 0 KRW and +100 moved, which \
         doesn't make their sum of 99"
    );
    // A movement that is counted for the wrong flow: the sums are 0, the day's figures differ.
    let mut books = Bookkeeping::bootstrapped();
    books.transfer(flow(TransferKind::CashOut, AccountKind::Wallet, AccountKind::Bank), KRW, 1);
    books.days.uncount_movement(
        flow(TransferKind::CashOut, AccountKind::Wallet, AccountKind::Bank),
        0,
        1,
    );
    books.days.count_movement(
        flow(TransferKind::CashOut, AccountKind::Merchant, AccountKind::Bank),
        0,
        1,
    );
    assert!(books.days.check(&books.sums, 7).is_err());
}

#[test]
fn undone_changes_leave_no_trace() {
    let mut books = Bookkeeping::bootstrapped();
    books.transfer(top_up(), KRW, 100);
    let digest = books.days.digest();
    books.days.count_movement(top_up(), POINT, 7);
    let moved = books.days.digest();
    assert_ne!(moved, digest);
    books.days.uncount_movement(top_up(), POINT, 7);
    assert_eq!(books.days.digest(), digest);
    let closed = books.close("2026-11-27", 7);
    assert_ne!(books.days.digest(), digest);
    books.days.reopen(closed);
    assert_eq!(books.days.digest(), digest);
    assert_eq!(books.days.report(date("2026-11-26")), None);
    assert_eq!(books.close("2026-11-27", 7).date, date("2026-11-26"));
}

#[test]
fn every_figure_is_part_of_the_digest() {
    let changes: &[fn(&mut Days)] = &[
        |days| days.today.date = date("2026-11-28"),
        |days| days.today.first_position += 1,
        |days| days.today.opening[1][4] -= 1,
        |days| days.today.moved[0][14].count += 1,
        |days| days.count_movement(top_up(), KRW, 1),
        |days| days.count_movement(top_up(), POINT, 1),
        |days| drop(days.reports.set(20_261_126, None)),
    ];
    let books = || {
        let mut books = Bookkeeping::bootstrapped();
        books.transfer(top_up(), KRW, 1);
        books.close("2026-11-27", 7);
        books.transfer(top_up(), KRW, 1);
        books
    };
    for (number, change) in changes.iter().enumerate() {
        let mut changed = books();
        change(&mut changed.days);
        assert_ne!(changed.days.digest(), books().days.digest(), "change {number}");
    }
}

/// The content of a store after a checkpoint.
fn rows(days: &mut Days, meanwhile: impl Fn(&mut Days)) -> Vec<(u128, Vec<u8>)> {
    let mut rows = Vec::new();
    days.checkpoint_begin(true);
    while !days.checkpoint_is_over() {
        meanwhile(days);
        days.checkpoint_next(&mut 1, &mut |key, value| rows.push((key, value)));
    }
    days.checkpoint_end(true);
    rows
}

fn load(rows: &[(u128, Vec<u8>)], sums: &[KindSums], position: u64) -> Result<Days, String> {
    let mut days = Days::new();
    for (key, value) in rows.iter().rev() {
        days.load(*key, value)?;
    }
    days.finish_loading(&assets(), sums, position)?;
    Ok(days)
}

fn three_days() -> Bookkeeping {
    let mut books = Bookkeeping::bootstrapped();
    books.transfer(top_up(), KRW, 100);
    books.close("2026-11-27", 7);
    books.transfer(top_up(), POINT, 100);
    books.close("2026-11-30", 9);
    books.transfer(top_up(), KRW, 100);
    books
}

#[test]
fn days_are_loaded_in_their_state_when_the_checkpoint_began() {
    let mut books = three_days();
    let digest = books.days.digest();
    let meanwhile = |days: &mut Days| days.count_movement(top_up(), KRW, 1);
    let rows = rows(&mut books.days, meanwhile);
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [0, 20_261_126, 20_261_127]);
    let loaded = load(&rows, &books.sums, 9).unwrap();
    assert_eq!(loaded.digest(), digest);
    assert_eq!(loaded.report(date("2026-11-28")), books.days.report(date("2026-11-28")));
}

#[test]
fn damaged_days_are_refused() {
    let mut books = three_days();
    let good = rows(&mut books.days, |_| {});
    let (sums, position) = (&books.sums, 9);
    assert!(load(&good, sums, position).is_ok());
    assert!(load(&good, sums, 8).unwrap_err().contains("begins after"), "it begins later");
    let mut wrong = books.sums.clone();
    wrong[1][0] += 1;
    assert!(load(&good, &wrong, position).unwrap_err().contains("their sum of 101"), "other sums");
    for missing in 0..good.len() {
        let mut rows = good.clone();
        rows.remove(missing);
        assert!(load(&rows, sums, position).is_err(), "without row {missing}");
    }
    for at in 0..good.len() {
        for cut in [0, 1, good[at].1.len() - 1] {
            let mut rows = good.clone();
            rows[at].1.truncate(cut);
            assert!(load(&rows, sums, position).is_err(), "row {at} of {cut} bytes");
        }
    }
    let mut twice = good.clone();
    twice.push(good[1].clone());
    assert!(load(&twice, sums, position).unwrap_err().contains("twice"));
    let mut elsewhere = good.clone();
    elsewhere[1].0 = 20_261_125;
    assert!(load(&elsewhere, sums, position).unwrap_err().contains("ended when"));
}

#[test]
fn a_planted_miscount_is_found_when_the_day_is_closed() {
    let mut books = Bookkeeping::bootstrapped();
    books.days.planted_miscount = true;
    books.transfer(top_up(), KRW, 100);
    let checked = books.days.check(&books.sums, 7);
    assert!(checked.unwrap_err().to_string().contains("wallet accounts opened with 0 KRW"));
}
