/** The real PostgreSQL server that `npm start` shows is the one that the tests talk to. */
export { type PostgresOptions, type PostgresService, startPostgres } from '../../demo/services/postgres.ts'
