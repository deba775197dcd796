using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Vms.Telemetry.Tests;

/// <summary>Looks types and members up in a folder of assemblies, by name and signature, as a runtime does.</summary>
internal sealed class ReferenceAssemblies(string folder) : IDisposable
{
    private readonly Dictionary<string, PEReader?> _files = [];

    /// <summary>Gives the types and members of others that an assembly uses and this folder lacks.</summary>
    internal IEnumerable<string> Missing(MetadataReader user)
    {
        var homes = new Dictionary<string, string>();
        foreach (var handle in user.TypeReferences)
        {
            var name = Words.Name(user, handle);
            homes[name] = Home(user, handle);
            if (Find(homes[name], name) is null)
            {
                yield return name;
            }
        }

        foreach (var reference in user.MemberReferences.Select(user.GetMemberReference))
        {
            var parent = reference.Parent.Kind switch
            {
                HandleKind.TypeReference => Words.Name(user, (TypeReferenceHandle)reference.Parent),
                HandleKind.TypeSpecification => Words.Name(user, (TypeSpecificationHandle)reference.Parent).Split('<')[0],
                _ => "",
            };
            var name = user.GetString(reference.Name);
            var signature = reference.GetKind() == MemberReferenceKind.Method
                ? Words.Of(reference.DecodeMethodSignature(Words.Provider, null))
                : reference.DecodeFieldSignature(Words.Provider, null);
            // A generic type of the assembly's own has no home elsewhere.
            if (homes.TryGetValue(parent, out var home) && !HasMember(Find(home, parent), name, signature))
            {
                yield return $"{parent}.{name}: {signature}";
            }
        }
    }

    public void Dispose()
    {
        foreach (var file in _files.Values)
        {
            file?.Dispose();
        }
    }

    /// <summary>The assembly of a type reference; a nested type is where the one around it is.</summary>
    private static string Home(MetadataReader user, TypeReferenceHandle handle)
    {
        var scope = user.GetTypeReference(handle).ResolutionScope;
        return scope.Kind == HandleKind.TypeReference
            ? Home(user, (TypeReferenceHandle)scope)
            : user.GetString(user.GetAssemblyReference((AssemblyReferenceHandle)scope).Name);
    }

    private MetadataReader? Open(string assembly)
    {
        if (!_files.TryGetValue(assembly, out var file))
        {
            var path = Path.Combine(folder, assembly + ".dll");
            file = _files[assembly] = File.Exists(path) ? new PEReader(File.OpenRead(path)) : null;
        }

        return file?.GetMetadataReader();
    }

    private (MetadataReader Reader, TypeDefinition Type)? Find(MetadataReader user, TypeReferenceHandle handle) =>
        Find(Home(user, handle), Words.Name(user, handle));

    /// <summary>Finds a type, and follows it where it was forwarded to.</summary>
    private (MetadataReader Reader, TypeDefinition Type)? Find(string assembly, string type)
    {
        if (Open(assembly) is not { } reader)
        {
            return null;
        }

        foreach (var handle in reader.TypeDefinitions)
        {
            if (Words.Name(reader, handle) == type)
            {
                return (reader, reader.GetTypeDefinition(handle));
            }
        }

        var outer = type.Split('+')[0];
        foreach (var forwarder in reader.ExportedTypes.Select(reader.GetExportedType))
        {
            if (forwarder.IsForwarder && Words.Name(reader, forwarder.Namespace, forwarder.Name) == outer)
            {
                var target = reader.GetAssemblyReference((AssemblyReferenceHandle)forwarder.Implementation);
                return Find(reader.GetString(target.Name), type);
            }
        }

        return null;
    }

    /// <summary>Looks for a member in a type and in those that it inherits from.</summary>
    private bool HasMember((MetadataReader Reader, TypeDefinition Type)? found, string name, string signature)
    {
        if (found is not var (reader, type))
        {
            return false;
        }

        return type.GetMethods()
                .Select(reader.GetMethodDefinition)
                .Any(method => reader.GetString(method.Name) == name
                    && Words.Of(method.DecodeSignature(Words.Provider, null)) == signature)
            || type.GetFields()
                .Select(reader.GetFieldDefinition)
                .Any(field => reader.GetString(field.Name) == name
                    && field.DecodeSignature(Words.Provider, null) == signature)
            || (type.BaseType.Kind switch
            {
                HandleKind.TypeReference => HasMember(Find(reader, (TypeReferenceHandle)type.BaseType), name, signature),
                HandleKind.TypeDefinition when !type.BaseType.IsNil => HasMember(
                    (reader, reader.GetTypeDefinition((TypeDefinitionHandle)type.BaseType)),
                    name,
                    signature),
                _ => false,
            });
    }

    /// <summary>Puts signatures in words, without the assemblies of their types.</summary>
    private sealed class Words : ISignatureTypeProvider<string, object?>
    {
        internal static Words Provider { get; } = new();

        internal static string Of(MethodSignature<string> signature) =>
            $"{(signature.Header.IsInstance ? "" : "static ")}{signature.ReturnType} "
            + $"`{signature.GenericParameterCount}({string.Join(", ", signature.ParameterTypes)})";

        internal static string Name(MetadataReader reader, StringHandle space, StringHandle name) =>
            space.IsNil ? reader.GetString(name) : reader.GetString(space) + "." + reader.GetString(name);

        internal static string Name(MetadataReader reader, TypeReferenceHandle handle)
        {
            var type = reader.GetTypeReference(handle);
            var name = Name(reader, type.Namespace, type.Name);
            return type.ResolutionScope.Kind == HandleKind.TypeReference
                ? Name(reader, (TypeReferenceHandle)type.ResolutionScope) + "+" + name
                : name;
        }

        internal static string Name(MetadataReader reader, TypeDefinitionHandle handle)
        {
            var type = reader.GetTypeDefinition(handle);
            var name = Name(reader, type.Namespace, type.Name);
            return type.GetDeclaringType() is { IsNil: false } outer ? Name(reader, outer) + "+" + name : name;
        }

        internal static string Name(MetadataReader reader, TypeSpecificationHandle handle) =>
            reader.GetTypeSpecification(handle).DecodeSignature(Provider, null);

        public string GetArrayType(string elementType, ArrayShape shape) => $"{elementType}[{shape.Rank}]";

        public string GetByReferenceType(string elementType) => elementType + "&";

        public string GetFunctionPointerType(MethodSignature<string> signature) => "*" + Of(signature);

        public string GetGenericInstantiation(string genericType, ImmutableArray<string> typeArguments) =>
            $"{genericType}<{string.Join(", ", typeArguments)}>";

        public string GetGenericMethodParameter(object? genericContext, int index) => "!!" + index;

        public string GetGenericTypeParameter(object? genericContext, int index) => "!" + index;

        public string GetModifiedType(string modifier, string unmodifiedType, bool isRequired) =>
            isRequired ? $"{unmodifiedType} {modifier}" : unmodifiedType;

        public string GetPinnedType(string elementType) => elementType;

        public string GetPointerType(string elementType) => elementType + "*";

        public string GetPrimitiveType(PrimitiveTypeCode typeCode) => typeCode.ToString();

        public string GetSZArrayType(string elementType) => elementType + "[]";

        public string GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) =>
            Name(reader, handle);

        public string GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) =>
            Name(reader, handle);

        public string GetTypeFromSpecification(
            MetadataReader reader,
            object? genericContext,
            TypeSpecificationHandle handle,
            byte rawTypeKind) => Name(reader, handle);
    }
}
