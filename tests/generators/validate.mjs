import SwaggerParser from "@apidevtools/swagger-parser";

const document = await SwaggerParser.validate("./openapi.json");
console.log(JSON.stringify({ version: document.openapi, paths: Object.keys(document.paths).length }));
