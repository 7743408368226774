import { USER_OBJECTS } from './server.ts'

/**
 * SQL that drops all that the role can drop in its database, large objects and its own extensions included, so that a restore in the
 * same transaction finds what a fresh database has. Extensions of other roles stay, with the schemas that they lie in.
 */
export function dropEverything({ ownsPublic }: { ownsPublic: boolean }): string[] {
  return [DROP_ALL, ...(ownsPublic ? [`COMMENT ON SCHEMA public IS 'standard public schema'`] : [])]
}

// First what holds others: one DROP SCHEMA takes what thousands of statements would. What has gone with it is skipped by IF EXISTS.
const DROP_ALL = `DO $coffer$
  DECLARE
    statements text[]; statement text;
  BEGIN
    WITH droppable AS (
      SELECT 0 AS rank, 'pg_catalog.pg_extension'::regclass AS class, oid AS object FROM pg_catalog.pg_extension
       WHERE oid >= 16384 AND pg_catalog.pg_has_role(extowner, 'USAGE')
      UNION ALL
      SELECT CASE WHEN class IN ('pg_catalog.pg_event_trigger'::regclass, 'pg_catalog.pg_publication'::regclass) THEN 1
                  WHEN class = 'pg_catalog.pg_namespace'::regclass THEN 2 ELSE 3 END, class, object
        FROM (${USER_OBJECTS}) user_objects
       WHERE coalesce(pg_catalog.pg_has_role(owner, 'USAGE'), true)
         AND NOT (class = 'pg_catalog.pg_namespace'::regclass AND object IN (
               SELECT extnamespace FROM pg_catalog.pg_extension WHERE NOT pg_catalog.pg_has_role(extowner, 'USAGE'))))
    SELECT pg_catalog.array_agg(CASE WHEN class = 'pg_catalog.pg_largeobject'::regclass
             THEN pg_catalog.format('SELECT pg_catalog.lo_unlink(%s)', object)
             ELSE pg_catalog.format('DROP %s IF EXISTS %s CASCADE', pg_catalog.replace(i.type, '-', ' '), i.identity) END
             ORDER BY rank, object)
      INTO statements FROM droppable, pg_catalog.pg_identify_object(class, object, 0) i;
    FOREACH statement IN ARRAY coalesce(statements, '{}') LOOP
      EXECUTE statement;
    END LOOP;
  END $coffer$`
