//! What this service tells drivers about itself: it only reads, and these are its types.

use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlSupportedTransaction, XdbcDataType, XdbcDatetimeSubcode,
    metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder},
};
use proto::refusal::{Kind, Refusal};

/// Both sets of facts, made once.
pub(super) struct Facts {
    pub(super) sql: SqlInfoData,
    pub(super) types: XdbcTypeInfoData,
}

impl Facts {
    pub(super) fn new() -> Result<Self, Refusal> {
        let fail = || Refusal::new(Kind::Internal, "the service can't be described");
        Ok(Self { sql: sql_info().build().map_err(|_| fail())?, types: types().build().map_err(|_| fail())? })
    }
}

fn sql_info() -> SqlInfoDataBuilder {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Eger hub");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, false);
    // 1: unknown, 2: insensitive, upper; 3: insensitive, lower; 4: sensitive
    info.append(SqlInfo::SqlIdentifierCase, 3);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlQuotedIdentifierCase, 4);
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    // 0: NULLs sort high
    info.append(SqlInfo::SqlNullOrdering, 0);
    info.append(SqlInfo::SqlKeywords, ["ilike", "qualify", "try_cast"].as_slice());
    info.append(
        SqlInfo::SqlNumericFunctions,
        ["abs", "ceil", "floor", "round", "trunc", "sqrt", "exp", "ln", "log10", "power", "mod", "sign"].as_slice(),
    );
    info.append(
        SqlInfo::SqlStringFunctions,
        ["lower", "upper", "trim", "substr", "concat", "length", "replace", "left", "right", "starts_with"].as_slice(),
    );
    info.append(SqlInfo::SqlSystemFunctions, ["coalesce", "nullif", "greatest", "least"].as_slice());
    info.append(
        SqlInfo::SqlDatetimeFunctions,
        ["date_part", "date_trunc", "date_bin", "to_timestamp", "now", "current_date"].as_slice(),
    );
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlExtraNameCharacters, "");
    info.append(SqlInfo::SqlSupportsColumnAliasing, true);
    info.append(SqlInfo::SqlNullPlusNullIsNull, true);
    info.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    info.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    info.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    info.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    info.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    info.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    info.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    info.append(SqlInfo::SqlSchemaTerm, "controller");
    info.append(SqlInfo::SqlProcedureTerm, "procedure");
    info.append(SqlInfo::SqlCatalogTerm, "project");
    info.append(SqlInfo::SqlCatalogAtStart, true);
    info.append(SqlInfo::SqlSelectForUpdateSupported, false);
    info.append(SqlInfo::SqlStoredProceduresSupported, false);
    info.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    info
}

fn types() -> XdbcTypeInfoDataBuilder {
    let mut all = XdbcTypeInfoDataBuilder::new();
    let plain = |name: &str, kind: XdbcDataType, size: i32| XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type: kind,
        sql_data_type: kind,
        column_size: Some(size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        auto_increment: Some(false),
        local_type_name: Some(name.to_owned()),
        ..XdbcTypeInfo::default()
    };
    let number = |name: &str, kind, size, radix| XdbcTypeInfo {
        unsigned_attribute: Some(false),
        num_prec_radix: Some(radix),
        searchable: Searchable::Basic,
        ..plain(name, kind, size)
    };
    let quoted = |prefix: &str, info: XdbcTypeInfo| XdbcTypeInfo {
        literal_prefix: Some(prefix.to_owned()),
        literal_suffix: Some("'".to_owned()),
        ..info
    };
    all.append(plain("BOOLEAN", XdbcDataType::XdbcBit, 1));
    all.append(number("TINYINT", XdbcDataType::XdbcTinyint, 8, 2));
    all.append(number("SMALLINT", XdbcDataType::XdbcSmallint, 16, 2));
    all.append(number("INTEGER", XdbcDataType::XdbcInteger, 32, 2));
    all.append(number("BIGINT", XdbcDataType::XdbcBigint, 64, 2));
    all.append(number("REAL", XdbcDataType::XdbcReal, 24, 2));
    all.append(number("DOUBLE", XdbcDataType::XdbcDouble, 53, 2));
    all.append(XdbcTypeInfo {
        create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
        minimum_scale: Some(0),
        maximum_scale: Some(38),
        ..number("DECIMAL", XdbcDataType::XdbcDecimal, 38, 10)
    });
    all.append(quoted(
        "'",
        XdbcTypeInfo { case_sensitive: true, ..plain("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX) },
    ));
    all.append(quoted("X'", plain("VARBINARY", XdbcDataType::XdbcVarbinary, i32::MAX)));
    all.append(quoted("X'", plain("BINARY", XdbcDataType::XdbcBinary, 16)));
    all.append(quoted("DATE '", plain("DATE", XdbcDataType::XdbcDate, 10)));
    all.append(quoted("TIME '", plain("TIME", XdbcDataType::XdbcTime, 15)));
    all.append(quoted(
        "TIMESTAMP '",
        XdbcTypeInfo {
            datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
            ..plain("TIMESTAMP", XdbcDataType::XdbcTimestamp, 29)
        },
    ));
    all
}
