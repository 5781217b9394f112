import type { Deployed, Endpoint, PredictRequest, Version } from '../../sdk/src/client.ts';
import { stringifyJson } from '../../sdk/src/json.ts';
import { briefJson } from './brief-json.ts';
import { commandText, quoteWord, sameCommand } from './command-text.ts';
import { adviceText } from './command-word.ts';
import { curlText } from './curl-text.ts';
import type { Output } from './output.ts';
import { positionalInput, takesTables } from './positional.ts';
import { diffText, signatureTable } from './signature-text.ts';
import { cleanLine, formatMs } from './terminal.ts';
import type { OptionReader } from './verb.ts';
import { validationText } from './version-text.ts';

export type TextContext = {
  readonly out: Output;
  readonly options: OptionReader;
  readonly verb: 'deploy' | 'models push';
  readonly path: string;
  /** null where none is known, or nothing is served. */
  readonly inferenceUrl: string | null;
  readonly key: string | null;
  readonly project: string;
  /** Whether going back to the version before would break callers of the new one. */
  readonly undoBreaks: boolean;
  /** Endpoints that serve the model, for `models push`. */
  readonly followers: readonly Endpoint[];
};

const nameOf = (version: Version): string => `${version.model}@${version.version}`;

export function deployedText(deployed: Deployed, deps: TextContext): string {
  const { paint } = deps.out;
  const { version } = deployed;
  if (version === null)
    return `Would make the model ${deployed.model}${deps.verb === 'deploy' ? ', its version 1 and its endpoint' : ' and its version 1'}. Nothing was changed.\n`;
  const sections = [
    headline(deployed, deps),
    '',
    paint('bold', 'Signature'),
    signatureTable(version.signature, paint).trimEnd(),
  ];
  if (deployed.diff !== null && deployed.previousVersion !== null) {
    sections.push(
      '',
      paint('bold', `Against version ${deployed.previousVersion}, which was served before`),
      diffText(deployed.diff.changes, paint).trimEnd(),
    );
  }
  if (version.validation !== null) {
    sections.push('', paint('bold', 'Validation'), validationText(version.validation, version, paint).trimEnd());
  }
  if (deployed.prediction !== null && deployed.predictionMs !== null) {
    const { text } = briefJson(deployed.prediction.predictions[0]);
    sections.push('', paint('bold', `First answer, ${formatMs(deployed.predictionMs)}`), `  ${cleanLine(text)}`);
  }
  if (deployed.predictionSkipped !== null) {
    sections.push(
      '',
      `The trial call was skipped, because this key may not predict: ${cleanLine(deployed.predictionSkipped)}`,
    );
  }
  if (deployed.endpoint !== null && deps.inferenceUrl !== null && deployed.outcome !== 'registered') {
    sections.push(
      '',
      paint('bold', 'Call it'),
      callText(deployed.endpoint.name, version.sampleRequest, deps.inferenceUrl, deps),
    );
  }
  sections.push('', paint('bold', 'Next'), ...nextCommands(deployed, deps).map((line) => `  ${line}`));
  return `${sections.join('\n')}\n`;
}

/** A command to paste; a request too long for that is shown in part, with where all of it is. */
function callText(endpoint: string, request: PredictRequest, inferenceUrl: string, deps: TextContext): string {
  const { text, whole } = briefJson(request);
  if (whole) return curlText({ ...deps, inferenceUrl, endpoint, request });
  const folder = deps.project === 'default' ? '' : `/p/${encodeURIComponent(deps.project)}`;
  const url = `${inferenceUrl}${folder}/endpoints/${encodeURIComponent(endpoint)}`;
  const key = deps.key === null ? '' : ` -H "Authorization: Bearer ${deps.key}"`;
  return [
    `curl -s ${url}${key} | node -p 'JSON.stringify(JSON.parse(require("fs").readFileSync(0)).example.request)' > request.json`,
    `curl -s ${url}/predict${key} -H 'content-type: application/json' -d @request.json`,
    `  The first line writes the example of the endpoint into a file: ${cleanLine(text)}`,
  ].join('\n');
}

function headline(deployed: Deployed, { out, verb }: TextContext): string {
  const { paint } = out;
  const version = deployed.version!;
  const name = paint('bold', nameOf(version));
  const endpoint = deployed.endpoint?.name ?? '';
  switch (deployed.outcome) {
    case 'served': {
      const before = deployed.previousVersion;
      return before === null
        ? `${name} is served by the new endpoint ${paint('bold', endpoint)}`
        : `${name} is served by endpoint ${paint('bold', endpoint)} (version ${before} → ${version.version})`;
    }
    case 'registered':
      return version.status === 'ready'
        ? `${name} is registered and valid`
        : `${name} is registered; its validation goes on, and no endpoint was made or moved`;
    case 'rejected': {
      const kept = deployed.previousVersion === null ? '' : `; version ${deployed.previousVersion} is still served`;
      return `${paint('red', `${nameOf(version)} did not pass validation`)}: ${cleanLine(version.statusReason ?? 'no reason was given')}${kept}`;
    }
    case 'not_ready': {
      const status = deployed.endpoint?.status;
      const fix = status?.fix ? `\n${paint('cyan', 'Fix:')} ${adviceText(cleanLine(status.fix))}` : '';
      return `${paint('red', `${nameOf(version)} is not served yet`)}: ${cleanLine(status?.reason ?? `it is still ${version.status}`)}${fix}`;
    }
    case 'planned': {
      const made = deployed.endpointCreated
        ? ' and make an endpoint for it'
        : ` and move the endpoint from version ${deployed.previousVersion} to it`;
      return `Would register ${name}${verb === 'deploy' ? made : ''}. Nothing was changed.`;
    }
  }
}

function nextCommands(deployed: Deployed, deps: TextContext): string[] {
  const command = (words: string): string => commandText(deps.options, words);
  const version = deployed.version!;
  const endpoint = deployed.endpoint?.name ?? null;
  const show = command(`versions show ${nameOf(version)}`);
  switch (deployed.outcome) {
    case 'planned':
      return [`${sameCommand({ without: '--dry-run' })}    do it`];
    case 'rejected':
      return [`${show}    everything that was seen`, `${sameCommand({})}    again, with a mended file`];
    case 'registered':
      return [
        `${show}    how its validation went`,
        ...serveCommands(deployed, version, deps).map((words) => `${command(words)}    serve it`),
      ];
    default:
      if (endpoint === null) return [show];
  }
  const undo = undoWords(deployed, deps.undoBreaks);
  return [
    ...(deployed.predictionSkipped === null ? [predictLine(endpoint, version, command)] : []),
    command(`why ${endpoint}`),
    ...(undo === null ? [] : [`${command(undo.words)}    undo: ${undo.effect}`]),
  ];
}

/** Only what this model can take. */
function predictLine(endpoint: string, version: Version, command: (words: string) => string): string {
  const { signature, sampleRequest } = version;
  if (takesTables(signature)) {
    const inOrder = positionalInput(signature);
    const effect =
      inOrder === null ? 'a whole table' : `a table of ${inOrder.columns} columns, in the order of the training`;
    return `${command(`predict ${endpoint} --file rows.csv`)}    ${effect}`;
  }
  const { whole } = briefJson(sampleRequest);
  if (!whole) return `${command(`predict ${endpoint} --file request.json`)}    a request as above, in a file`;
  return `${command(`predict ${endpoint} --json ${quoteWord(stringifyJson(sampleRequest))}`)}    the trial call again`;
}

function serveCommands(deployed: Deployed, version: Version, deps: TextContext): string[] {
  if (deps.verb === 'deploy' && deployed.endpoint !== null) return [moveWords(deployed.endpoint, version.version)];
  if (deps.followers.length > 0) return deps.followers.slice(0, 3).map((one) => moveWords(one, version.version));
  return [`endpoints create ${deployed.model} --model ${deployed.model} --version ${version.version}`];
}

/** Moves what the endpoint names: its alias when it follows one. */
function moveWords({ name, model, target }: Endpoint, version: number): string {
  return 'alias' in target
    ? `aliases set ${model} ${target.alias} ${version}`
    : `endpoints update ${name} --version ${version}`;
}

function undoWords(deployed: Deployed, breaking: boolean): { words: string; effect: string } | null {
  const { endpoint, previousVersion, version } = deployed;
  if (endpoint === null) return null;
  if (previousVersion !== null && previousVersion !== version?.version) {
    const words = `${moveWords(endpoint, previousVersion)}${breaking ? ' --allow-breaking' : ''}`;
    return { words, effect: `back to version ${previousVersion}` };
  }
  if (!deployed.endpointCreated) return null;
  return { words: `endpoints delete ${endpoint.name} --confirm=${endpoint.name}`, effect: 'take the endpoint away' };
}
