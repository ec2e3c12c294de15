// Compiles the contracts and writes one artefact per contract: node build.mjs [folder]
//
// The artefacts are committed, so that a chain can be used with pip alone; a test
// compiles again and compares byte for byte. Nothing is fetched: compiler and
// libraries are those that package-lock.json pins.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const solc = createRequire(import.meta.url)("solc");
const out = process.argv[2] ?? join(here, "..");

// Cancun is the oldest rule set with transient storage, and every chain since runs it.
const settings = {
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none" },
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
};

// 2394 warns of transient storage, and itself excepts guards that are cleared as the call ends.
const accepted = new Set(["2394"]);

const outputs = [
  "abi",
  "metadata",
  "evm.bytecode.object",
  "evm.deployedBytecode.object",
  "evm.deployedBytecode.immutableReferences",
];

// What ships, and what only the tests deploy.
const targets = {
  "src/Settlement.sol": { contracts: ["Settlement"], folder: "veilsum/chain/artifacts" },
  "src/StakeVault.sol": { contracts: ["StakeVault"], folder: "veilsum/chain/artifacts" },
  "src/ModelRegistry.sol": { contracts: ["ModelRegistry"], folder: "veilsum/chain/artifacts" },
  "src/SumVerifier.sol": { contracts: ["SumVerifier"], folder: "veilsum/chain/artifacts" },
  "src/demo/DemoToken.sol": { contracts: ["DemoToken"], folder: "veilsum/chain/artifacts" },
  "test/ObedientVerifier.sol": {
    contracts: ["ObedientVerifier"],
    folder: "tests/contracts/artifacts",
  },
  "test/HostileTokens.sol": {
    contracts: ["FeeToken", "FalseToken", "CallbackToken"],
    folder: "tests/contracts/artifacts",
  },
};

const read = {};

function source(path) {
  const file = path.startsWith("@") ? join(here, "node_modules", path) : join(here, path);
  read[path] = readFileSync(file, "utf8");
  return read[path];
}

function compile() {
  const sources = Object.fromEntries(Object.keys(targets).map((path) => [path, { content: source(path) }]));
  const outputSelection = { "*": { "*": outputs } };
  const input = { language: "Solidity", sources, settings: { ...settings, outputSelection } };
  const found = (path) => ({ contents: source(path) });
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: found }));
  const errors = (output.errors ?? []).filter((error) => !accepted.has(error.errorCode));
  const complaints = errors.map((error) => error.formattedMessage);
  if (complaints.length > 0) throw new Error(complaints.join("\n"));
  return output.contracts;
}

function artefact(path, name, compiled) {
  const used = Object.keys(JSON.parse(compiled.metadata).sources).sort();
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  return {
    contract: name,
    source: path,
    compiler: { version: solc.version(), settings },
    sources: Object.fromEntries(used.map((file) => [file, sha256(read[file])])),
    abi: compiled.abi,
    bytecode: "0x" + compiled.evm.bytecode.object,
    deployedBytecode: "0x" + compiled.evm.deployedBytecode.object,
    // Where a deployed contract differs: zeros here, what its constructor set there.
    immutableReferences: compiled.evm.deployedBytecode.immutableReferences ?? {},
  };
}

const contracts = compile();
for (const [path, { contracts: names, folder }] of Object.entries(targets)) {
  mkdirSync(join(out, folder), { recursive: true });
  for (const name of names) {
    const text = JSON.stringify(artefact(path, name, contracts[path][name]), null, 1) + "\n";
    writeFileSync(join(out, folder, `${name}.json`), text);
  }
}
