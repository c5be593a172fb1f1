// Greedy continuation of a prompt by llama.cpp (package node-llama-cpp, found in the working folder's node_modules).
// usage: node llamacpp_greedy.mjs MODEL.gguf PROMPT N       prints the prompt and the continuation, nothing after it
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";
import path from "node:path";

const require = createRequire(path.join(process.cwd(), "package.json"));
const {getLlama} = await import(pathToFileURL(require.resolve("node-llama-cpp")).href);
const [, , modelPath, prompt, n] = process.argv;

const llama = await getLlama({gpu: false, build: "never", progressLogs: false, logLevel: "error", maxThreads: 1});
const model = await llama.loadModel({modelPath});
const context = await model.createContext({contextSize: model.trainContextSize, threads: 1});
const tokens = model.tokenize(prompt, false);
if (model.tokens.shouldPrependBosToken && model.tokens.bos != null) tokens.unshift(model.tokens.bos);

const generated = [];
for await (const token of context.getSequence().evaluate(tokens, {temperature: 0, topK: 1, yieldEogToken: true})) {
    if (model.isEogToken(token)) break;
    generated.push(token);
    if (generated.length >= Number(n)) break;
}
process.stdout.write(prompt + model.detokenize(generated, false, tokens), () => process.exit(0));
