// Google's SDK.
const { execSync } = require("node:child_process");
const { GoogleGenAI } = require("@google/genai");

const [model, prompt] = process.argv.slice(2);
const bash = {
  name: "bash",
  description: "Run a command.",
  parametersJsonSchema: { type: "object", properties: { command: { type: "string" } }, required: ["command"] },
};

async function main() {
  const client = new GoogleGenAI({ apiKey: process.env.GEMINI_API_KEY });
  const chat = client.chats.create({ model, config: { tools: [{ functionDeclarations: [bash] }] } });
  for (let message = [prompt]; message.length; ) {
    const calls = [];
    for await (const chunk of await chat.sendMessageStream({ message })) {
      calls.push(...(chunk.functionCalls ?? []));
      const parts = chunk.candidates?.[0]?.content?.parts ?? [];
      process.stdout.write(parts.map(({ text }) => text ?? "").join(""));
    }
    message = calls.map(({ id, name, args }) => {
      return { functionResponse: { id, name, response: { output: execSync(args.command).toString() } } };
    });
  }
}

main();
