import { Client, escapeIdentifier } from 'pg'

export interface SampleDatabase {
  name: string
  url: string
  /** What a bad deployment does: rows rewritten and gone, and a table that refers to an old one. */
  spoil(): Promise<void>
  drop(): Promise<void>
}

const SCHEMA = `
  CREATE TABLE customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, since date NOT NULL);
  CREATE TABLE product (sku text PRIMARY KEY, title text NOT NULL, price numeric(8, 2) NOT NULL);
  CREATE TABLE purchase (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customer,
                         sku text NOT NULL REFERENCES product, quantity int NOT NULL, at timestamptz NOT NULL);
  CREATE MATERIALIZED VIEW turnover AS SELECT sku, sum(quantity * price) AS total FROM purchase JOIN product USING (sku) GROUP BY sku;
  INSERT INTO customer (name, since) SELECT 'Customer ' || n, date '2020-01-01' + n % 2000 FROM generate_series(1, 5000) n;
  INSERT INTO product SELECT 'SKU-' || n, 'Product ' || n, (n * 7 % 900 + 100) / 10.0 FROM generate_series(1, 300) n;
  INSERT INTO purchase (customer, sku, quantity, at)
    SELECT n * 31 % 5000 + 1, 'SKU-' || n * 17 % 300 + 1, n % 5 + 1, timestamptz '2024-01-01' + n * interval '7 minutes'
      FROM generate_series(1, 100000) n;
  REFRESH MATERIALIZED VIEW turnover`

const SPOILED = `
  CREATE TABLE invoice (id int PRIMARY KEY, purchase bigint NOT NULL REFERENCES purchase);
  INSERT INTO invoice SELECT id, id FROM purchase WHERE id <= 1000;
  UPDATE customer SET name = 'undefined';
  DELETE FROM purchase WHERE id > 50000`

/** A shop with a hundred thousand purchases, in a database of its own on this server. */
export async function createSampleDatabase(serverUrl: string, app: string): Promise<SampleDatabase> {
  const name = app.replaceAll('-', '_')
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const drop = () => run(serverUrl, `DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`)
  await run(serverUrl, `CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE template0`)
  await run(url.href, SCHEMA)
  return {
    name,
    url: url.href,
    drop,
    spoil: () => run(url.href, SPOILED),
  }
}

async function run(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
