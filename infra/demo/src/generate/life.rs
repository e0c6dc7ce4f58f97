//! What happens to one person between the first and the last day: contacts, diagnoses, prescriptions, tests.

use std::io;

use rand::Rng;

use super::day::Day;
use super::places::Region;
use super::population::{FIRST, LAST, Person};
use super::sheet::Sheet;

/// The sheets that a person's life is written into.
pub(crate) struct Sheets {
    pub(crate) bef: Sheet,
    pub(crate) kontakt: Sheet,
    pub(crate) diagnose: Sheet,
    pub(crate) lmdb: Sheet,
    pub(crate) lab_h: Sheet,
    pub(crate) lab_m: Sheet,
    /// Contacts so far, from which their keys are made.
    pub(crate) contacts: u64,
}

/// Counts of the population register are taken on 31 December of these years.
pub(crate) const YEARS: [i32; 4] = [2021, 2022, 2023, 2024];

/// Diagnoses that people without diabetes come with.
const COMMON: [&str; 14] = [
    "DI109", "DJ189", "DM545", "DN390", "DS525", "DK219", "DF329", "DI489", "DE785", "DJ449", "DM179", "DZ016",
    "DH269", "DR074",
];
/// Drugs: ATC, defined daily doses in a pack (tenths), indication, name.
const DRUGS: [(&str, u64, &str, &str); 9] = [
    ("C10AA05", 1000, "0000173", "Atorvastatin \"Teva\", mod forhøjet kolesterol"),
    ("C09AA02", 980, "0000156", "Enalapril \"Krka\"; mod forhøjet blodtryk"),
    ("N02BE01", 667, "0000092", "Panodil – mod smerter"),
    ("J01CA08", 75, "0000274", "Selexid; mod blærebetændelse"),
    ("R03AC02", 500, "0000380", "Ventoline \"Evohaler\", mod astma"),
    ("A02BC01", 280, "0000061", "Omeprazol \"Actavis\", mod for meget mavesyre"),
    ("N06AB04", 980, "0000168", "Citalopram ’Lundbeck’"),
    ("B01AC06", 1000, "0000219", "Hjertemagnyl, blodfortyndende"),
    ("H03AA01", 667, "0000318", "Eltroxin; mod for lavt stofskifte"),
];
/// Analyses: code, unit, decimals, centre and spread in units of the last decimal.
const ANALYSES: [(&str, &str, u32, f64, f64); 6] = [
    ("NPU18016", "µmol/L", 0, 78.0, 19.0),
    ("DNK35302", "mL/min/1,73 m²", 0, 82.0, 16.0),
    ("NPU01568", "mmol/L", 1, 29.0, 8.0),
    ("NPU02319", "mmol/L", 1, 86.0, 8.0),
    ("NPU19748", "mg/L", 1, 60.0, 55.0),
    ("NPU03230", "mmol/L", 1, 40.0, 4.0),
];
const HBA1C: (&str, &str) = ("NPU27300", "mmol/mol");
const METFORMIN: (&str, &str, &str) = ("A10BA02", "0000276", "Metformin \"Aurobindo\", mod sukkersyge");
const SEMAGLUTIDE: (&str, &str, &str) = ("A10BJ06", "0000276", "Ozempic – mod sukkersyge, én gang om ugen");

/// Writes one person's rows into every sheet. `rng` is that person's own.
pub(crate) fn write(person: &Person, rng: &mut impl Rng, sheets: &mut Sheets) -> io::Result<()> {
    if !person.administrative {
        population(person, &mut sheets.bef)?;
        prescriptions(person, rng, &mut sheets.lmdb)?;
    }
    contacts(person, rng, sheets)?;
    tests(person, rng, sheets)
}

fn population(person: &Person, bef: &mut Sheet) -> io::Result<()> {
    for (file, year) in YEARS.into_iter().enumerate() {
        let day = Day::of(year, 12, 31);
        if person.born > day {
            continue;
        }
        let home = person.home_on(day).get();
        bef.person(person.number);
        bef.int(if person.male { 1 } else { 2 });
        bef.date(person.born);
        bef.int(u64::from(home.code));
        bef.text(home.name);
        bef.text(home.region.name());
        bef.int(year.unsigned_abs().into());
        bef.end(file)?;
    }
    Ok(())
}

fn contacts(person: &Person, rng: &mut impl Rng, sheets: &mut Sheets) -> io::Result<()> {
    let age = f64::from(person.age_on(LAST).max(0));
    let ill = if person.diabetes.is_some() { 0.5 } else { 0.0 };
    for _ in 0..poisson(rng, (0.15 + age * 0.006 + ill) * years()) {
        let visit = Visit {
            day: any_day(rng),
            main: COMMON[rng.random_range(0..COMMON.len())],
            secondary: rng.random_bool(0.3).then(|| COMMON[rng.random_range(0..COMMON.len())]),
            // now and then diabetes was suspected and refuted
            refuted: rng.random_bool(0.003).then_some("DE119"),
        };
        contact(person, &visit, rng, sheets)?;
    }
    let Some(course) = &person.diabetes else { return Ok(()) };
    let found = Visit { day: course.diagnosed, main: "DE119", secondary: None, refuted: None };
    if found.day >= FIRST {
        contact(person, &found, rng, sheets)?;
    }
    // the yearly visit, with what has gone wrong since
    let mut day = course.diagnosed.plus(365 + rng.random_range(-40..40));
    while day <= LAST {
        if day >= FIRST {
            let main = if rng.random_bool(0.15) { "DE113" } else { "DE119" };
            let secondary = rng.random_bool(0.4).then_some("DI109");
            contact(person, &Visit { day, main, secondary, refuted: None }, rng, sheets)?;
        }
        day = day.plus(365 + rng.random_range(-40..40));
    }
    Ok(())
}

/// A contact with a hospital and its diagnoses.
struct Visit {
    day: Day,
    main: &'static str,
    secondary: Option<&'static str>,
    refuted: Option<&'static str>,
}

fn contact(person: &Person, visit: &Visit, rng: &mut impl Rng, sheets: &mut Sheets) -> io::Result<()> {
    sheets.contacts += 1;
    // an odd factor modulo a power of two: scattered, and never twice the same
    let key = 1_000_000_000_000_000 + (sheets.contacts.wrapping_mul(0x9E37_79B9_7F4A_7C15) & ((1 << 50) - 1));
    let units = person.home_on(visit.day).get().region.units();
    let (unit, name) = units[rng.random_range(0..units.len())];
    let out = &mut sheets.kontakt;
    out.person(person.number);
    out.int(key);
    out.timestamp(visit.day, rng.random_range(7 * 60..20 * 60));
    out.text(if rng.random_bool(0.2) { "ALCA03" } else { "ALCA00" });
    out.text(unit);
    out.text(name);
    out.end(0)?;
    let out = &mut sheets.diagnose;
    let diagnoses = [(Some(visit.main), "A", "Nej"), (visit.secondary, "B", "Nej"), (visit.refuted, "B", "Ja")];
    for (code, kind, refuted) in diagnoses {
        if let Some(code) = code {
            out.int(key);
            out.text(code);
            out.text(kind);
            out.text(refuted);
            out.end(0)?;
        }
    }
    Ok(())
}

fn prescriptions(person: &Person, rng: &mut impl Rng, lmdb: &mut Sheet) -> io::Result<()> {
    let age = f64::from(person.age_on(LAST).max(0));
    for _ in 0..poisson(rng, (0.2 + age * 0.02) * years()) {
        let (atc, volume, indication, name) = DRUGS[rng.random_range(0..DRUGS.len())];
        prescription(person, any_day(rng), (atc, indication, name), volume, rng, lmdb)?;
    }
    // metformin has other uses too, rarely
    if !person.male && (18..40).contains(&person.age_on(LAST)) && rng.random_bool(0.004) {
        prescription(person, any_day(rng), METFORMIN, 250, rng, lmdb)?;
    }
    let Some(course) = &person.diabetes else { return Ok(()) };
    for (start, drug, volume, pace) in
        [(course.metformin, METFORMIN, 500, 95), (course.second_drug, SEMAGLUTIDE, 280, 60)]
    {
        let Some(mut day) = start else { continue };
        while day <= LAST {
            if day >= FIRST {
                prescription(person, day, drug, volume, rng, lmdb)?;
            }
            day = day.plus(pace + rng.random_range(-12..=12));
        }
    }
    Ok(())
}

fn prescription(
    person: &Person,
    day: Day,
    (atc, indication, name): (&str, &str, &str),
    volume: u64,
    rng: &mut impl Rng,
    lmdb: &mut Sheet,
) -> io::Result<()> {
    let packs = rng.random_range(1..=3_u64);
    let file = (day.year() - FIRST.year()).unsigned_abs() as usize;
    lmdb.person(person.number);
    lmdb.date(day);
    lmdb.text(atc);
    lmdb.decimal(volume * packs, 1);
    lmdb.int(packs);
    if rng.random_bool(0.1) {
        lmdb.missing();
    } else {
        lmdb.text(indication);
    }
    lmdb.text(name);
    lmdb.end(file)
}

fn tests(person: &Person, rng: &mut impl Rng, sheets: &mut Sheets) -> io::Result<()> {
    let age = f64::from(person.age_on(LAST).max(0));
    for _ in 0..poisson(rng, (0.1 + age * 0.008) * years()) {
        let day = any_day(rng);
        // what is drawn does not depend on where, so that a move changes nothing else
        for _ in 0..rng.random_range(1..=3) {
            let (code, unit, decimals, centre, spread) = ANALYSES[rng.random_range(0..ANALYSES.len())];
            let value = (centre + spread * noise(rng)).round().max(1.0) as u64;
            test(person, day, (code, unit), (value, decimals), rng, sheets)?;
        }
        if person.diabetes.is_none() && age > 40.0 && rng.random_bool(0.15) {
            let value = (35.0 + 3.0 * noise(rng)).round().clamp(22.0, 47.0) as u64;
            test(person, day, HBA1C, (value, 0), rng, sheets)?;
        }
    }
    let Some(course) = &person.diabetes else { return Ok(()) };
    for day in course.tests(rng) {
        let value = (course.hba1c(day) + 2.0 * noise(rng)).round().max(25.0) as u64;
        test(person, day, HBA1C, (value, 0), rng, sheets)?;
    }
    Ok(())
}

fn test(
    person: &Person,
    day: Day,
    (code, unit): (&str, &str),
    (value, decimals): (u64, u32),
    rng: &mut impl Rng,
    sheets: &mut Sheets,
) -> io::Result<()> {
    let luck = rng.random_range(0..10_000_u32);
    let (out, laboratory) = match person.home_on(day).get().region {
        Region::Hovedstaden => (&mut sheets.lab_h, "Klinisk Biokemisk Afdeling, Nordsjælland"),
        Region::Midtjylland => (&mut sheets.lab_m, "Blodprøver og Biokemi, Skejby"),
        // the other regions have not joined
        _ => return Ok(()),
    };
    // a sample without a person number, one in a thousand
    if luck < 10 {
        out.missing();
    } else {
        out.person(person.number);
    }
    out.date(day);
    out.text(code);
    if (10..60).contains(&luck) {
        out.missing();
    } else {
        out.decimal(value, decimals);
    }
    out.text(unit);
    out.text(laboratory);
    match luck {
        9_900.. => out.text("Prøven \"hæmolyseret\"; gentag, tak"),
        9_800.. => out.text("Fastende\tikke oplyst"),
        9_770.. => out.text("Ringet til afdelingen\nSvar afgivet til læge"),
        9_500.. => out.text("Målt på ny maskine, jf. vejledning § 4"),
        _ => out.missing(),
    }
    out.end(0)
}

fn years() -> f64 {
    f64::from(LAST.0 - FIRST.0) / 365.25
}

fn any_day(rng: &mut impl Rng) -> Day {
    FIRST.plus(rng.random_range(0..=LAST.0 - FIRST.0))
}

/// How often something happens that is expected `mean` times (Knuth's way, good for small means).
fn poisson(rng: &mut impl Rng, mean: f64) -> u32 {
    let limit = (-mean).exp();
    let mut product: f64 = rng.random();
    let mut count = 0;
    while product > limit && count < 1_000 {
        product *= rng.random::<f64>();
        count += 1;
    }
    count
}

/// About standard normal, bounded by 3.
fn noise(rng: &mut impl Rng) -> f64 {
    let sum: f64 = (0..3).map(|_| rng.random::<f64>()).sum();
    (sum - 1.5) * 2.0
}
