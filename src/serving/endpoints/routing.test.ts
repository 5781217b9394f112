import { describe, expect, it } from 'vitest';
import { parseEndpointRef, pickVersion } from './routing.ts';

describe('which version answers', () => {
  const versions = new Map([
    [2, 'two'],
    [3, 'three'],
  ]);

  it.each([
    ['the serving version without a pin', 'two', null, { version: 'two', reason: 'endpoint' }],
    ['the pinned version with one', 'two', 3, { version: 'three', reason: 'pin' }],
    ['nothing when the pinned version is not loaded', 'two', 1, { version: null, reason: 'not-loaded' }],
    ['nothing until a version was ready', null, null, { version: null, reason: 'not-ready' }],
    ['the pinned version also while the endpoint has none', null, 3, { version: 'three', reason: 'pin' }],
  ])('%s', (_title, serving, pin, expected) => {
    expect(pickVersion({ serving, versions }, pin)).toEqual(expected);
  });
});

describe('how versions are named', () => {
  it.each([
    ['churn', undefined, { name: 'churn', pin: null }],
    ['churn@2', undefined, { name: 'churn', pin: 2 }],
    ['churn', '2', { name: 'churn', pin: 2 }],
    ['churn@2', '2', { name: 'churn', pin: 2 }],
    ['churn@2', '3', null],
    ['churn@', undefined, null],
    ['churn@champion', undefined, null],
    ['churn@0', undefined, null],
    ['churn@02', undefined, null],
    ['churn@2@3', undefined, null],
    ['churn', '1.0', null],
    ['churn', '-1', null],
    ['churn', '99999999999999999999', null],
  ])('%s with %s in the path', (text, version, expected) => {
    expect(parseEndpointRef(text, version)).toEqual(expected);
  });
});
