use super::{generate::*, *};
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use std::collections::BTreeMap;

/// How many keys of a row of the published table give which noise.
fn counted(row: usize) -> BTreeMap<i64, i64> {
    let mut found = BTreeMap::new();
    for key in 0..=u8::MAX {
        *found.entry(noise(row as u64, CellKey(key))).or_default() += 1;
    }
    found
}

#[test]
fn the_published_table_is_the_one_that_the_generator_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/disclosure/noise.csv");
    let published = std::fs::read_to_string(path).unwrap();
    assert!(csv() == published, "make it again: cargo run -p policies --example noise > policies/disclosure/noise.csv");
}

#[test]
fn cell_key_noise_has_mean_zero_its_variance_and_its_bound_in_each_row() {
    for row in 0..ROWS {
        let keys = counted(row);
        let moment = |k: u32| keys.iter().map(|(noise, keys)| noise.pow(k) * keys).sum::<i64>();
        assert_eq!(moment(0), 256);
        assert_eq!(moment(1), 0, "mean of row {row}");
        assert_eq!(moment(2), if row == 0 { 0 } else { VARIANCE * 256 }, "variance of row {row}");
        assert!(keys.keys().all(|noise| (-(row as i64)..=BOUND).contains(noise)), "row {row}: {keys:?}");
        assert_eq!(
            keys.into_iter().collect::<Vec<_>>(),
            super::generate::row(row).into_iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>()
        );
    }
}

#[test]
fn cell_key_rows_are_as_near_to_most_entropy_as_256_keys_can_be() {
    for row in 1..ROWS {
        let values = values(row);
        let p = most_entropy(&values, VARIANCE as f64).unwrap();
        let keys = counted(row);
        for (value, p) in values.iter().zip(p) {
            let found = keys.get(value).copied().unwrap_or_default() as f64;
            assert!((found - 256.0 * p).abs() < 1.5, "row {row}, noise {value}: {found} keys for {}", 256.0 * p);
        }
    }
    let last: Vec<i64> = counted(ROWS - 1).into_values().collect();
    assert_eq!(last.iter().rev().copied().collect::<Vec<_>>(), last, "far above the threshold it is symmetric");
}

#[test]
fn the_document_shows_the_published_distribution() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/disclosure.md")).unwrap();
    let rows: Vec<BTreeMap<i64, i64>> = (0..ROWS).map(counted).collect();
    for value in -BOUND..=BOUND {
        let keys = rows.iter().map(|row| row.get(&value).copied().unwrap_or_default().to_string());
        let line = format!("| {value} | {} |", keys.collect::<Vec<_>>().join(" | "));
        assert!(text.contains(&line), "docs/disclosure.md lacks: {line}");
    }
}

#[test]
fn cell_key_mean_error_is_clearly_below_two_people() {
    for row in 0..ROWS {
        let total: i64 = counted(row).into_iter().map(|(noise, keys)| noise.abs() * keys).sum();
        let error = total as f64 / 256.0;
        println!("{row} people above the threshold: mean absolute error {error:.2}");
        assert!(error < 1.5);
    }
}

#[test]
fn nobody_becomes_anybody_and_nobody_falls_below_the_threshold() {
    for least in [5, 7, 10, 30] {
        let threshold = Threshold::DEFAULT.raised_to(least);
        for key in 0..=u8::MAX {
            assert_eq!(perturbed(0, CellKey(key), threshold), 0);
            for people in least..least + 40 {
                let shown = perturbed(people, CellKey(key), threshold);
                assert!(shown >= least && shown.abs_diff(people) <= 5, "{people} shown as {shown}");
            }
        }
    }
    assert!(perturbed(u64::MAX, CellKey(1), Threshold::DEFAULT) >= u64::MAX - 5);
}

/// R `ptable`, vignette "Introduction to the ptable-Package", "Plotting the Perturbation Panel": `create_cnt_ptable(D = 2,
/// V = 1.08, js = 1)` changes an original count of 1 to 0 with probability 0.5133, to 2 with 0.46 and to 3 with 0.0267 (1 itself is blocked by
/// `js`). By hand: three equations for three numbers. p(-1) + p(1) + p(2) = 1; -p(-1) + p(1) + 2 p(2) = 0; p(-1) + p(1) + 4 p(2) = 1.08;
/// so p(2) = 0.08 / 3, p(1) = (1 - 3 p(2)) / 2, p(-1) = p(1) + 2 p(2).
#[test]
fn cell_key_worked_example_of_ptable_with_a_blocked_count() {
    let p = most_entropy(&[-1, 1, 2], 1.08).unwrap();
    for (found, (by_hand, published)) in p.iter().zip([(0.46 + 0.16 / 3.0, 0.5133), (0.46, 0.46), (0.08 / 3.0, 0.0267)])
    {
        assert!((found - by_hand).abs() < 1e-9, "{found}, by hand {by_hand}");
        assert!((found - published).abs() < 5e-5, "{found}, published {published}");
    }
}

/// The same vignette, `create_cnt_ptable(D = 2, V = 1)`: counts of 2 and more change by -2 .. 2 with 0.0638 .. 0.383 .. 0.0638. By hand:
/// p(v) = exp(b v^2) / Z; with x = exp(b), 2 (x + 4 x^4) = 1 + 2 x + 2 x^4, so 6 x^4 = 1.
#[test]
fn cell_key_worked_example_of_ptable_without_blocked_counts() {
    let p = most_entropy(&[-2, -1, 0, 1, 2], 1.0).unwrap();
    let x = 6_f64.powf(-0.25);
    let z = 1.0 + 2.0 * x + 2.0 * x.powi(4);
    for (found, by_hand) in p.iter().zip([x.powi(4) / z, x / z, 1.0 / z, x / z, x.powi(4) / z]) {
        assert!((found - by_hand).abs() < 1e-9);
    }
    assert!((p[0] - 0.0638).abs() < 5e-5 && (p[2] - 0.383).abs() < 5e-4, "as published: {p:?}");
}

/// R `cellKey`, `.ck_perturb_cnts`: the first row of the count with `ckey < p_int_ub`, where `p_int_ub` is the cumulative sum of `p`; a cell's
/// key is the fractional part of the sum of its records' keys. The keys are the six that its vignette prints.
#[test]
fn cell_key_worked_example_of_the_lookup() {
    let records = [0.6705526, 0.0357946, 0.1339016, 0.9849310, 0.2941448, 0.7070011];
    let cell = records.iter().sum::<f64>() % 1.0;
    assert!((cell - 0.8263257).abs() < 1e-9);
    // in 256 steps: 171 + 9 + 34 + 252 + 75 + 180 = 721 = 2 * 256 + 209; 209 / 256 = 0.816
    let key: CellKey = records.iter().map(|key| CellKey::new((key * 256.0) as u8)).sum();
    assert_eq!(key.get(), 209);

    // pt_ex_cnts(): D = 2, V = 1.05, js = 1; the row of count 1 by hand as above: 0.508333, 0.475, 0.016667
    let (values, p) = ([-1, 1, 2], most_entropy(&[-1, 1, 2], 1.05).unwrap());
    let mut upper = 0.0;
    let cumulative: Vec<f64> = p
        .iter()
        .map(|p| {
            upper += p;
            upper
        })
        .collect();
    assert!(cumulative.windows(2).all(|pair| pair[0] < pair[1]), "monotone");
    for (found, by_hand) in cumulative.iter().zip([0.508_333_333, 0.983_333_333, 1.0]) {
        assert!((found - by_hand).abs() < 1e-8);
    }
    // That row as a table of ours, for counts of one: the keys of 256 in the order of the intervals. The other counts have no noise.
    let mut table = [[0_i8; ROWS]; KEYS];
    for (key, row) in table.iter_mut().enumerate() {
        let at = cumulative.iter().position(|upper| (key as f64) / 256.0 < *upper).unwrap();
        row[0] = i8::try_from(values[at]).unwrap();
    }
    let shown = |key| 1 + looked_up(&table, 0, key);
    assert_eq!([CellKey::new(77), key, CellKey::new(253)].map(shown), [0, 2, 3]);
    // The last key of the first interval, 130 / 256 = 0.5078, and the first of the second; the last of that, 251 / 256 = 0.9805.
    assert_eq!([130, 131, 251, 252].map(|key| shown(CellKey::new(key))), [0, 2, 2, 3]);
    assert_eq!([looked_up(&table, 1, key), looked_up(&table, 1_000_000, key)], [0, 0], "of other counts");
    for (row, noise) in table[209].iter_mut().enumerate() {
        *noise = i8::try_from(row).unwrap() - 3;
    }
    assert_eq!(
        [0, 2, 5, 6, u64::MAX].map(|above| looked_up(&table, above, key)),
        [-3, -1, 2, 2, 2],
        "its own column each"
    );
}

#[test]
fn cell_key_of_a_union_is_the_sum_and_of_the_same_people_the_same() {
    let people: Vec<[u8; 16]> = (0..200_u8).map(|i| [i.wrapping_mul(97); 16]).collect();
    let all: CellKey = people.iter().map(CellKey::of_person).sum();
    let backwards: CellKey = people.iter().rev().map(CellKey::of_person).sum();
    let (left, right) = people.split_at(77);
    let parts = left.iter().map(CellKey::of_person).sum::<CellKey>().and(right.iter().map(CellKey::of_person).sum());
    assert_eq!(all, backwards);
    assert_eq!(all, parts);
}

#[test]
fn noise_of_two_cells_says_little_of_their_union() {
    let ascending: Vec<i64> = row(ROWS - 1).into_iter().flat_map(|(v, keys)| (0..keys).map(move |_| v)).collect();
    let published: Vec<i64> = (0..=u8::MAX).map(|key| noise(BOUND as u64, CellKey(key))).collect();
    let (shuffled, in_order) = (information(&published), information(&ascending));
    println!(
        "bits that the noise of two cells tells of their union's: {shuffled:.3}; with keys in order {in_order:.3}"
    );
    assert!(shuffled < 0.1 && in_order > 3.0 * shuffled);
}

/// Mutual information in bits between the noise of two cells and that of their union, over all pairs of keys.
fn information(noise: &[i64]) -> f64 {
    let mut joint: BTreeMap<(i64, i64, i64), f64> = BTreeMap::new();
    let (mut pair, mut union): (BTreeMap<(i64, i64), f64>, BTreeMap<i64, f64>) = Default::default();
    let one = 1.0 / 65_536.0;
    for a in 0..256 {
        for b in 0..256 {
            let (va, vb, vc) = (noise[a], noise[b], noise[(a + b) % 256]);
            *joint.entry((va, vb, vc)).or_default() += one;
            *pair.entry((va, vb)).or_default() += one;
            *union.entry(vc).or_default() += one;
        }
    }
    joint.iter().map(|((a, b, c), p)| p * (p / (pair[&(*a, *b)] * union[c])).log2()).sum()
}

/// How many counts an averaging attack needs: one group, cut into two in ever different ways, the parts added up.
#[test]
fn attack_averaging_over_partitions_takes_many_counts() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut right_after = |partitions: u32| {
        let trials = 1_000;
        let mut right = 0;
        for _ in 0..trials {
            let people: Vec<u8> = (0..60).map(|_| rng.next_u32() as u8).collect();
            let mut sum = 0;
            for _ in 0..partitions {
                let cut = rng.next_u64();
                for side in [0, 1] {
                    let part = people.iter().enumerate().filter(|(i, _)| cut >> i & 1 == side).map(|(_, key)| *key);
                    let key = part.clone().map(CellKey).sum();
                    sum += perturbed(part.count() as u64, key, Threshold::DEFAULT);
                }
            }
            right += u32::from((sum as f64 / f64::from(partitions)).round() == 60.0);
        }
        f64::from(right) / f64::from(trials)
    };
    let found = [1, 10, 30, 90, 180].map(|partitions| (partitions, right_after(partitions)));
    for (partitions, right) in found {
        println!(
            "after {partitions} partitions ({} counts) the average is right in {:.0} %",
            2 * partitions,
            100.0 * right
        );
    }
    assert!(found[1].1 < 0.6, "ten partitions are not enough");
    assert!(found[3].1 > 0.9, "and 90 are: more noise would cost readers more than attackers");
}
