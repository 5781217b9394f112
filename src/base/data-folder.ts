/** Where things lie in the data folder. The server makes them; the command line beside it finds server and key by them. */
export const DATABASE_FILE = 'slipway.db';
/** The first key, for its owner only. */
export const ADMIN_KEY_FILE = 'admin.key';
/** Rollbacks that the database has not heard of yet. */
export const ROLLBACKS_FILE = 'rollbacks.ndjson';
/** Settings by name; optional. */
export const SETTINGS_FILE = 'settings.yaml';
/** Working folder of the processes: sockets and what a running server keeps for itself. */
export const RUN_FOLDER = 'run';
/** Addresses of the running server; there only while it runs. */
export const SERVER_FILE = 'run/server.json';
export const LOG_FILE = 'logs/slipway.log';
