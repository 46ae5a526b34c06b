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

-- Schema 2. A section is frozen once released: what changes later is said in a section of its own, at the end.
ALTER TABLE producers ADD COLUMN lost UBIGINT DEFAULT 0;
ALTER TABLE pending ADD COLUMN segments MAP(VARCHAR, VARCHAR);
-- Rows and outcomes of a model up to ingest number `batch` are in the archive; up to `expired`, not all are here any more.
CREATE TABLE archived (model INTEGER, batch BIGINT, expired BIGINT);
-- The files of the range being archived, one line each: whatever dies on the way, the same files are written again.
CREATE TABLE archiving (model INTEGER, first BIGINT, last BIGINT, part VARCHAR, day INTEGER);
-- References and summaries hold more, over other bins: they are made again from rows, or from the file that ships.
DELETE FROM refs;
DELETE FROM summaries;
DELETE FROM watermarks;
ALTER TABLE summaries ADD COLUMN span BIGINT DEFAULT 60000000;
-- Blocks of a window judged: their own rows over coarse bins (u4), and five readings per column and one over all (f4).
CREATE TABLE steps (model INTEGER, version INTEGER, hash VARCHAR, length BIGINT, block BIGINT, score DOUBLE, critical BOOLEAN, counts BLOB, readings BLOB);

-- Schema 3. Reports passed over that may still come, as [[first, last, acked], ...]; how many came late, and the last of them.
ALTER TABLE producers ADD COLUMN gaps VARCHAR DEFAULT '[]';
ALTER TABLE producers ADD COLUMN late UBIGINT DEFAULT 0;
ALTER TABLE producers ADD COLUMN late_seq UBIGINT DEFAULT 0;
-- `segment` names a part of a version's rows, such as country=DE; empty: all of them.
ALTER TABLE summaries ADD COLUMN segment VARCHAR DEFAULT '';
ALTER TABLE steps ADD COLUMN segment VARCHAR DEFAULT '';
ALTER TABLE verdicts ADD COLUMN segment VARCHAR DEFAULT '';
-- Rows served, by hour (event time over an hour); `judged` ones are as they were seen then. Up to ingest number `batch`.
CREATE TABLE hours (model INTEGER, hour BIGINT, rows BIGINT, judged BOOLEAN);
CREATE TABLE counted (model INTEGER, batch BIGINT);

-- Schema 4. Refusals of several reports, as {number: [[model, reason, rows], ...]}: any of those sent together may come again.
UPDATE producers SET rejections = CASE rejections WHEN '[]' THEN '{}' ELSE '{"' || if(late_seq > 0, late_seq, last_seq) || '": ' || rejections || '}' END;
-- The sha256 of the file a monitor has uploaded; empty: it is from elsewhere.
ALTER TABLE refs ADD COLUMN uploaded VARCHAR DEFAULT '';
