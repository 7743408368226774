-- One of everything that a database can hold and that needs no superuser's extension outside contrib.
CREATE EXTENSION hstore;
CREATE EXTENSION pg_trgm SCHEMA public;
CREATE SCHEMA "Shop";
CREATE SCHEMA "odd ""schema""; drop";

CREATE TYPE "Shop".mood AS ENUM ('sad', 'it''s ok', 'happy "x"');
CREATE DOMAIN "Shop".positive AS integer DEFAULT 1 CHECK (VALUE > 0);
CREATE TYPE "Shop".address AS (street text, "zip code" varchar(10));
CREATE TYPE "Shop".span AS RANGE (subtype = float8, subtype_diff = float8mi);

CREATE FUNCTION "Shop".vat(amount numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT amount * 0.2 $$;
CREATE PROCEDURE "Shop".touch() LANGUAGE plpgsql AS $body$ BEGIN PERFORM 1; END $body$;
CREATE AGGREGATE "Shop".product(numeric) (sfunc = numeric_mul, stype = numeric, initcond = '1');
CREATE OPERATOR "Shop".=== (leftarg = text, rightarg = text, function = texteq);
CREATE COLLATION "Shop".plain (locale = 'C');

CREATE TABLE "Shop".customers (
  id integer GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 7) PRIMARY KEY,
  name text NOT NULL COLLATE "Shop".plain,
  feels "Shop".mood DEFAULT 'sad',
  home "Shop".address,
  stock "Shop".positive,
  net numeric(12, 4),
  gross numeric GENERATED ALWAYS AS (net * 1.2) STORED,
  during "Shop".span,
  tags hstore,
  extra jsonb
);
INSERT INTO "Shop".customers (name, feels, home, stock, net, during, tags, extra)
SELECT 'customer ' || i, 'happy "x"', ROW('street ' || i, 'z' || i)::"Shop".address, i, i * 1.5, "Shop".span(i, i + 1), hstore('k', i::text), jsonb_build_object('n', i)
  FROM generate_series(1, 1000) i;
COMMENT ON TABLE "Shop".customers IS E'two\nlines; \\. and ''quotes''';
COMMENT ON COLUMN "Shop".customers.net IS 'before tax';
CREATE INDEX customers_name ON "Shop".customers USING gin (name gin_trgm_ops);
CREATE UNIQUE INDEX ON "Shop".customers ((lower(name))) WHERE stock > 10;
CREATE STATISTICS "Shop".customers_stats (dependencies) ON stock, net FROM "Shop".customers;

CREATE TABLE "Shop".orders (
  id serial,
  customer integer NOT NULL REFERENCES "Shop".customers DEFERRABLE INITIALLY DEFERRED,
  placed date NOT NULL,
  total money,
  PRIMARY KEY (id, placed, customer)
) PARTITION BY RANGE (placed);
CREATE TABLE "Shop".orders_2024 PARTITION OF "Shop".orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE "Shop".orders_2025 PARTITION OF "Shop".orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (customer);
CREATE TABLE "Shop".orders_2025_first PARTITION OF "Shop".orders_2025 FOR VALUES IN (100);
CREATE TABLE "Shop".orders_2025_rest PARTITION OF "Shop".orders_2025 DEFAULT;
INSERT INTO "Shop".orders (customer, placed, total)
SELECT 100 + 7 * (i % 3), date '2024-12-01' + i, i FROM generate_series(1, 90) i;

CREATE TABLE animals (name text);
CREATE TABLE cats (lives integer) INHERITS (animals);
INSERT INTO animals VALUES ('dog'), ('cow');
INSERT INTO cats VALUES ('tom', 9);

CREATE TABLE hostile (value text, raw bytea);
INSERT INTO hostile VALUES
  (E'\\.', '\x5c2e0a'), (E'\\.\n', NULL), (E'a\nb\r\nc\td', '\x00ff0a0d'), (E'\\N', ''), (NULL, NULL), ('', '\x0a0a0a'),
  (E'\n\n\n', '\x5c2e0a0a0a'), (E'ends with a backslash\\', NULL), (E'\\\\.', NULL), ('ünï¢ødé 😀 ‮', NULL), (repeat(E'long \\.\n', 50000), NULL);
CREATE TABLE one_text (value text);
INSERT INTO one_text VALUES (''), (''), (E'\\.'), (''), ('');
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE no_rows (value text);
CREATE UNLOGGED TABLE unlogged_rows AS SELECT generate_series(1, 5) AS value;
CREATE TABLE "odd ""schema""; drop"."a ""quoted""
name; DROP TABLE x; -- \ 'ö😀'" ("column ""with"" %s
and a line" text, "--file=x" int);
INSERT INTO "odd ""schema""; drop"."a ""quoted""
name; DROP TABLE x; -- \ 'ö😀'" VALUES ('x', 1), ('y', 2);
CREATE TABLE "drop" ("select" int, "order" int);
INSERT INTO "drop" VALUES (1, 2);

CREATE SEQUENCE lonely START WITH 1000 INCREMENT BY -3 MINVALUE -1000 MAXVALUE 2000 CYCLE;
SELECT nextval('lonely'), nextval('lonely');
CREATE SEQUENCE untouched;

CREATE VIEW "Shop".big_orders AS SELECT * FROM "Shop".orders WHERE total > '5'::money WITH CHECK OPTION;
CREATE MATERIALIZED VIEW "Shop".per_customer AS SELECT customer, count(*) AS orders FROM "Shop".orders GROUP BY customer;
CREATE UNIQUE INDEX ON "Shop".per_customer (customer);
CREATE MATERIALIZED VIEW never_filled AS SELECT 1 AS one WITH NO DATA;

CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$;
CREATE TRIGGER stamp_animals BEFORE INSERT ON animals FOR EACH ROW EXECUTE FUNCTION stamp();
ALTER TABLE animals DISABLE TRIGGER stamp_animals;
CREATE RULE keep_dogs AS ON DELETE TO animals WHERE OLD.name = 'dog' DO INSTEAD NOTHING;
ALTER TABLE animals ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_cats ON animals FOR SELECT USING (name = 'cat');
ALTER TABLE cats ADD CONSTRAINT nine_at_most CHECK (lives <= 9) NOT VALID;
CREATE TEXT SEARCH CONFIGURATION "Shop".words (COPY = simple);
CREATE PUBLICATION some_tables FOR TABLE "Shop".customers;

SELECT lo_from_bytea(424242, decode(repeat('00ff0a5c2e0a0a0a', 20000), 'hex'));
SELECT lo_create(424243);
SELECT lo_from_bytea(3000000000, 'beyond signed integers');
COMMENT ON LARGE OBJECT 424242 IS 'a large object';
