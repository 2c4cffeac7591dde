module.exports = {
  chat: {
    input: "./openapi.json",
    output: { target: "./generated/orval.ts", client: "fetch", mode: "single", baseUrl: process.env.BASE_URL },
  },
};
