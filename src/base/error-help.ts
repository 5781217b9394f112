import type { ErrorCode } from './errors.ts';

/** For the reference of errors: the usual cause of each, and what to do about it. */
export const ERROR_HELP: Readonly<Record<ErrorCode, string>> = {
  invalid_request:
    'A field, query or header is missing, unknown or of another form. Mend each place that `errors` names and send it again.',
  invalid_json:
    'The detail names line and column. Common causes: single quotes, a comma too many, NaN, two equal keys.',
  invalid_name:
    'Names have at most 63 of a-z, 0-9, dot, dash and underscore, and start with a letter or digit. Take another one.',
  invalid_setting:
    'The message names setting, place and what is allowed. `slipway config` shows where each comes from.',
  invalid_input:
    'A value is missing, unknown, of another type or shape. `GET /endpoints/{name}` has the signature and an example that works.',
  invalid_digest: 'Bytes were altered on the way, or the file was changed while it was sent. Send it again.',
  invalid_cursor: 'Take `nextCursor` of the page before as it stands, with the same query, or begin without one.',
  unsupported_media:
    'Send `Content-Type: application/json` in UTF-8; files go as `application/octet-stream`. The management API takes no compressed bodies.',
  unsupported_option: 'The protocol or route has no such option; the message names it. Leave it out.',
  not_offered: 'The message says why, and what to use in its place.',
  too_large:
    'Send fewer rows at once, or raise `SLIPWAY_MAX_BODY` (requests) or `SLIPWAY_MAX_UPLOAD` (model files) and start the server again.',
  answer_too_large:
    'Send fewer rows at once, ask for fewer outputs or classes, or ask for binary outputs: numbers as text take about three times the bytes.',
  key_missing: 'Send `Authorization: Bearer <key>`. The first key is in `admin.key` in the data folder.',
  key_invalid:
    'The key was copied in part, is from another server, or has ended. `slipway keys list` shows which are live; an administrator makes new ones.',
  session_ended:
    'The console was not used for SLIPWAY_SESSION_IDLE, SLIPWAY_SESSION is over, or its key was revoked. Log in again.',
  signature_invalid:
    'The access key id is unknown or its key has ended, the clocks differ by more than five minutes, or a proxy changed what was signed. `slipway keys create --signing` makes a pair.',
  not_permitted:
    'The key lacks the scope that the message names, or is bound to another project. `slipway keys create` makes one that has it.',
  foreign_origin:
    'The request came under a host name or from a web page that the server does not know. Add the name to `SLIPWAY_ALLOWED_HOSTS`.',
  route_not_found:
    'The path is mistyped, or meant for the other listener: predictions and management have a port each.',
  project_not_found:
    'It does not exist, or the key is bound to another one. A bound key needs its project in every call: `--project NAME`, `/api/v1/projects/NAME/…`, `/p/NAME/…`.',
  model_not_found: '`slipway models list` shows them; `slipway deploy` makes one. Mind the project.',
  version_not_found:
    '`slipway versions list MODEL` shows them. For predictions a version must be loaded as well: `slipway endpoints update NAME --pin VERSION`.',
  alias_not_found: '`slipway models show MODEL` lists them; `slipway aliases set` makes one.',
  prediction_not_found:
    'Predictions are logged only where the policy of the endpoint samples them, and kept for its retention. `slipway policy show` tells.',
  endpoint_not_found: '`slipway endpoints list` shows them; `slipway deploy` makes one. Mind the project.',
  reference_not_found:
    'Name a CSV file as `reference` in slipway.yaml and deploy, or take the first predictions: `slipway references first`.',
  conversion_not_found: 'The id is mistyped, or of another model: `GET /models/{model}/conversions` lists them.',
  upload_not_found: 'Uploads that get no byte for a day are forgotten. Announce it again.',
  blob_not_found:
    'The bytes of a file were not sent, or were collected meanwhile. `slipway deploy` sends what is missing.',
  rollout_not_found: '`slipway rollouts list` shows them; `slipway rollouts start` makes one.',
  key_not_found: '`slipway keys list` shows the ids.',
  key_revoked:
    'Nothing is left to do: a revoked key stays revoked. Make another with `slipway keys create` if one is needed.',
  method_not_allowed: 'The header `Allow` lists what the address takes.',
  already_exists: 'Take another name, or change the one that exists.',
  in_use: 'Something still depends on it; the message says what, the hint how to move that away first.',
  revision_conflict: 'Read it again, and repeat the change with the new revision if it still makes sense.',
  offset_conflict: 'Ask the upload for its offset and go on from there. The command line does so by itself.',
  signature_breaking:
    'Inputs or outputs changed in a way that callers notice. Deploy it as an endpoint of its own, or confirm with `--allow-breaking`.',
  rollout_refused:
    'The message says why: its phase does not allow it, or somebody else has to ask for it. `slipway rollouts show` has the state.',
  version_not_servable:
    'Its validation failed or is not over. `slipway versions show MODEL@VERSION` says what was found and what to do.',
  model_refused:
    'Formats that can carry code are loaded only with `--allow-code` and a key with the scope `code`, in a process of their own. Or export the model to ONNX; the hint says how.',
  model_invalid:
    'The file is cut, damaged, or its slipway.yaml or golden set is at fault. The message names the place.',
  model_unsupported:
    'An operator, type or opset is not known to the engine. Export with another opset or without that operator.',
  environment_failed:
    'The words are those of pip: a requirement that exists nowhere, two that exclude each other, or no way to the index. The hint says which.',
  queue_full:
    'The version has more waiting than `SLIPWAY_QUEUE_LIMIT`. Retry after the time in `Retry-After`, or send more rows per call.',
  overloaded:
    'Requests come faster than the version answers them, or more large ones at once than the server has room for. Retry after the time in `Retry-After`, and more slowly each time; see the guide on overload.',
  rate_limited: 'Wait for the time in `Retry-After`, then go on more slowly.',
  deadline_exceeded:
    'Name a longer time in `X-Request-Timeout-Ms`, send fewer rows, or look for load with `slipway status`.',
  client_closed: 'The connection ended before the answer. Seen in logs only; retry if the answer is still wanted.',
  not_ready: 'The version is being loaded, or could not be. `slipway why ENDPOINT` says which and what to do.',
  version_quarantined:
    'Its process crashed five times within a minute. `slipway why ENDPOINT` has the last words; go back to an earlier version.',
  run_failed:
    'The model itself refused these values, for instance an index out of its range. Compare them with the golden set.',
  run_timeout:
    'One run took longer than `SLIPWAY_RUN_TIMEOUT` or the limit of the version. Send fewer rows or raise it.',
  runner_crashed:
    'A fault in the model or too little memory. It is started again by itself; `slipway why ENDPOINT` says how it ended.',
  artifact_corrupt:
    'The stored file no longer has its digest, so it is not loaded. Push the same file again, and look at the disk.',
  disk_full:
    'Free some space; `slipway artifacts collect` removes files that nothing uses. Uploads go on where they stopped.',
  data_unwritable:
    'Owner, mode or mount of the data folder keep the server from writing. `slipway doctor` looks at it.',
  database_down:
    'Predictions go on, and `slipway rollback` works to versions that are loaded; everything else waits until the database is back. The hint and `slipway logs` say what keeps it.',
  shutting_down: 'The server is being stopped. Retry; a supervisor starts it again.',
  port_taken:
    'Another process listens there, perhaps another Slipway. Stop it, or take another port; 0 picks a free one.',
  data_locked: 'Another server uses this folder. Stop it, or name another folder with `--data`.',
  data_newer: 'Use the release that wrote it, or a newer one. A folder is never changed back.',
  data_corrupt: 'Restore the data folder from a backup. The files of models are stored apart and may still be whole.',
  data_unsafe: 'The file system or SQLite does not write through as promised. Move the data folder to a local disk.',
  unsafe_bind: 'Set `SLIPWAY_INFERENCE_AUTH=required`, or listen on 127.0.0.1 only.',
  internal: 'A fault of ours. The server log has its cause under the request id; please report it.',
};
