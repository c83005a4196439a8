/** The parts of which the other tests here are made: a wire that is cut or deaf, a Redis that dies and comes back. */

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../clients/javascript/test/broker.js';
import { allEqual, differences } from './answers.mjs';
import { startCluster } from './cluster.mjs';
import { Line, Observer } from './line.mjs';
import { startProxy } from './proxy.mjs';
import { startRedis } from './redis.mjs';

test('a wire is cut, deaf in one direction, and mended', async () => {
  const redis = await startRedis();
  const proxy = await startProxy(redis.port);
  try {
    const socket = net.connect(Number(new URL(proxy.url).port), '127.0.0.1');
    let heard = '';
    socket.on('data', (bytes) => { heard += bytes; });
    socket.on('error', () => {});
    const said = async (/** @type {string} */ words, ms = 100) => {
      heard = '';
      socket.write(`${words}\r\n`);
      await sleep(ms);
      return heard;
    };
    assert.equal(await said('PING'), '+PONG\r\n');
    proxy.deafen('answers');
    assert.equal(await said('INCR one'), '');
    assert.equal((await redis.ask('get', 'one')).trim(), '1', 'requests come through');
    heard = '';
    proxy.mend();
    await sleep(100);
    assert.equal(heard, ':1\r\n', 'what was held comes through');
    proxy.deafen('requests');
    assert.equal(await said('INCR one'), '');
    assert.equal((await redis.ask('get', 'one')).trim(), '1', 'no request comes through');
    proxy.mend();
    await sleep(100);
    proxy.delay(150);
    assert.equal(await said('PING', 100), '');
    await sleep(300);
    assert.equal(heard, '+PONG\r\n');
    proxy.cut();
    await until('the connection is cut', () => socket.destroyed);
    const other = net.connect(Number(new URL(proxy.url).port), '127.0.0.1').on('error', () => {});
    await until('another is refused', () => other.destroyed);
  } finally {
    await proxy.stop();
    await redis.stop();
  }
});

test('Redis comes back with what it had, and with nothing', async () => {
  const redis = await startRedis();
  try {
    await redis.ask('set', 'old', '1');
    await redis.keep();
    await redis.ask('set', 'new', '1');
    await redis.kill();
    await redis.comeBack('kept');
    assert.deepEqual(await redis.keys(), ['old']);
    await redis.kill();
    await redis.comeBack('empty');
    assert.deepEqual(await redis.keys(), []);
    await redis.ask('set', 'one', '1');
    assert.equal((await redis.commands()).set, 1);
  } finally {
    await redis.stop();
  }
});

test('answers of two brokers are compared, and what differs is found', async () => {
  const cluster = await startCluster(2, { alone: true });
  const [one, other] = cluster.nodes;
  try {
    const of = { channels: ['room'], users: ['ada', 'bob'], viewers: ['', 'bob'] };
    const observer = await Observer.open(one, 'room');
    await allEqual([one, other], [{ observer, node: one }], of);
    const ada = await Line.open(one, 'ada');
    await ada.request({ type: 'join', channel: 'room', attributes: { mood: 'happy' }, visibleTo: ['user:bob'] });
    const found = (await differences([one, other], of)).map((line) => line.split('\n')[0]).sort();
    assert.deepEqual(found, [
      ': status of ada', ': statuses from 0',
      'bob: ada in room', 'bob: channels', 'bob: channels of ada', 'bob: members of room', 'bob: status of ada', 'bob: statuses from 0',
    ]);
    assert.deepEqual(observer.comings(), []);
    await ada.request({ type: 'join', channel: 'room', visibleTo: ['any'] });
    await sleep(100);
    await ada.close();
    await allEqual([one], [{ observer, node: one }], of);
    assert.deepEqual(observer.comings().map(({ event, user }) => `${event} ${user}`), ['join ada', 'leave ada']);
    assert.deepEqual(observer.complaints, []);
  } finally {
    await cluster.stop();
  }
});
