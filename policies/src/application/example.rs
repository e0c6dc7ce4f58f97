//! A form to start from.

/// A commented form; `hub project example` prints it. It passes the check as it stands.
pub const EXAMPLE: &str = r##"# An application for health data. `hub project apply THIS-FILE --check` says what is missing, without sending it.

project = "diabetes"                 # id: a to z first, then a to z, 0 to 9, _ and -; the catalog's name in SQL
title = "Metformin and long-term blood sugar"

# Why anonymous data are not enough (EHDS Article 66):
pseudonymised_because = "Prescriptions and laboratory results of the same person are compared over time."

# Whose data, in words; the rows are chosen with row_filter below:
population = "Adults in the Capital Region with at least one prescription of metformin since 2015."

# What leaves the controllers:
#   spoke_aggregates  checked cells of each controller alone
#   hub_aggregates    released aggregates over several controllers
#   enclave_rows      pseudonymised rows, seen by the users below in the secure environment alone
output = "hub_aggregates"

# Data may never be used for decisions against a person, in insurance, credit or jobs, for marketing, or for harmful
# products (EHDS Article 54).
prohibited_uses_acknowledged = true

client_signature = false             # true: each question carries the user's own signature

lead = "dst"                         # whose spoke makes the project's key
deputy = "region-h"                  # whose spoke makes it when the lead's is away; may be left out

# [blind]                            # with spoke_aggregates: nothing leaves but totals over these controllers together, of
# members = ["dst", "region-h", "sds"] # whom the hub sees no single one's number; three or more of those below
# custodian = "5f1c..e2"             # `custodian sealing-key` prints it

[period]                             # ten years at most
from = 2027-01-01
to = 2029-12-31

[group]
organisation = "University of Example"
public_body = true                   # purposes (a) to (c) are for public bodies only
responsible = "Anna Andersen, professor"
contact = "anna@example.org"

[[users]]                            # everybody who will ask; one section each
user = "anna@example.org"            # the id that the platform knows you by (`hub login` shows it)
issuer = "https://login.example.org" # who vouches for you, exactly as it is configured at the platform
name = "Anna Andersen"

[purpose]
ehds = "scientific-research"         # public-health, policy-making, statistics, education, scientific-research, improving-care
duo = ["DUO:0000007"]                # codes of the Data Use Ontology
summary = "Does treatment with metformin lower long-term blood sugar for longer than newer drugs do?"

# [caps]                             # the most that is asked; leave out for the platform's own
# rows = 100000000
# bytes = 17179869184
# queries_per_day = 10000

[[controllers]]                      # one section for each controller
controller = "dst"
# Fingerprints as the controller publishes them (`spoke identity`):
sealing = "0a1b-2c3d-4e5f-6071-8293-a4b5-c6d7-e8f9"
signing = "1a1b-2c3d-4e5f-6071-8293-a4b5-c6d7-e8f9"
needed = true                        # false: the project goes on without this controller
key_lists_to = ["region-h"]          # whose spokes may learn which of its people are in a cohort; speeds up joins

[[controllers.tables]]
name = "bef"
columns = ["pnr", "koen", "foed_dag"]
reason = "Sex and age are the confounders that every model adjusts for."   # for all columns without one of their own
row_filter = "kom = 101"
[controllers.tables.reasons]
pnr = "Links the person's rows between tables (a pseudonym of this project)."

[[controllers]]
controller = "region-h"
sealing = "2a1b-2c3d-4e5f-6071-8293-a4b5-c6d7-e8f9"
signing = "3a1b-2c3d-4e5f-6071-8293-a4b5-c6d7-e8f9"

[[controllers.tables]]
name = "lab_forsker"
columns = ["pnr", "samplingdate", "analysiscode", "value"]
reason = "HbA1c over time is the outcome."
row_filter = "analysiscode = 'NPU27300'"
"##;
