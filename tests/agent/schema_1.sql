-- Schema 1. Times are BIGINT microseconds since 1970 UTC. Names of models, versions and features are data: they stand in
-- models, versions and columns, and are referred to by number. Rows of model 7 are in rows_7, its column 3 in n3 (numbers)
-- and t3 (texts). Event tables have no keys and no indexes: they are written in order and scanned by zone map.
CREATE TABLE meta (key VARCHAR, value VARCHAR);
CREATE TABLE models (model INTEGER, name VARCHAR, first_seen BIGINT);
CREATE TABLE versions (model INTEGER, version INTEGER, name VARCHAR, first_seen BIGINT);
CREATE TABLE columns (model INTEGER, number INTEGER, name VARCHAR, part VARCHAR, kind VARCHAR, first_seen BIGINT);
CREATE TABLE producers (producer VARCHAR, last_seq UBIGINT, rejections VARCHAR, stored UBIGINT, missed UBIGINT, last_seen BIGINT);
CREATE TABLE losses (producer VARCHAR, model VARCHAR, reason VARCHAR, lost UBIGINT);
CREATE TABLE outcomes (batch BIGINT, model INTEGER, id VARCHAR, time BIGINT, label_number DOUBLE, label_text VARCHAR, value DOUBLE);
CREATE TABLE refs (model INTEGER, version INTEGER, hash VARCHAR, created BIGINT, document VARCHAR);
CREATE TABLE watermarks (model INTEGER, version INTEGER, batch BIGINT);
CREATE TABLE summaries (model INTEGER, version INTEGER, role UTINYINT, bucket BIGINT, hash VARCHAR, summary BLOB);
CREATE TABLE verdicts (model INTEGER, version INTEGER, "check" VARCHAR, alone VARCHAR, level VARCHAR, time BIGINT, "start" BIGINT, reason VARCHAR, detail VARCHAR);
CREATE TABLE decisions (id VARCHAR, model INTEGER, version INTEGER, action VARCHAR, "trigger" VARCHAR, urgency VARCHAR, mode VARCHAR, reason VARCHAR, time BIGINT, evidence VARCHAR, created BIGINT, state VARCHAR, attempts INTEGER, next_attempt BIGINT, last_error VARCHAR);
CREATE TABLE jobs (name VARCHAR, last_run BIGINT);
-- Ingest number `batch` was the newest at `time`: how old rows are is told by when they came, not by their event time.
CREATE TABLE ages (batch BIGINT, time BIGINT);
-- What a label needs of a prediction whose row is gone; `id` is its md5_number.
CREATE TABLE pending (model INTEGER, id UHUGEINT, time BIGINT, version INTEGER, role UTINYINT, number DOUBLE, text VARCHAR);
