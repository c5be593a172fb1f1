// Ids by two implementations that are not mote's: Hugging Face's tokenizers in Rust (npm's @anush008/tokenizers) and
// in JavaScript (@huggingface/transformers). node tokenizer_ids.mjs rust|js PACKAGES TEXTS FILE.json...
// Writes FILE.ids beside each FILE.json, or with --stdout prints them: a line for each text, its ids; of more than 24
// their number and FNV-1a, so that the files stay small (--long: all of them).
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const flags = process.argv.filter((word) => word.startsWith('--'))
const [kind, packages, textsFile, ...files] = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const require = createRequire(join(packages, 'package.json'))
const texts = readFileSync(textsFile, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))

function line(ids) {
    if (ids.length <= 24 || flags.includes('--long')) return ids.join(' ')
    let hash = 0x811c9dc5
    for (const id of ids)
        for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((id >>> shift) & 255), 0x01000193) >>> 0
    return `# ${ids.length} ${hash.toString(16).padStart(8, '0')}`
}

async function encoderOf(json) {
    if (kind === 'rust') {
        const { Tokenizer } = require('@anush008/tokenizers')
        const tokenizer = Tokenizer.fromString(json)
        const options = { addSpecialTokens: false }
        return async (text) => (await tokenizer.encode(text, null, options)).getIds()
    }
    const { Tokenizer } = await import(
        join(packages, 'node_modules/@huggingface/tokenizers/dist/tokenizers.min.mjs'))
    const tokenizer = new Tokenizer(JSON.parse(json), {})
    return async (text) => tokenizer.encode(text, { add_special_tokens: false }).ids
}

for (const file of files) {
    const encode = await encoderOf(readFileSync(file, 'utf8'))
    let out = ''
    for (const text of texts) out += line(Array.from(await encode(text))) + '\n'
    if (flags.includes('--stdout')) process.stdout.write(out)
    else writeFileSync(file.replace(/\.json$/, '.ids'), out)
}
