// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {ISumVerifier} from "../../src/interfaces/ISumVerifier.sol";
import {Digests, Trees, Words} from "./Trees.sol";

/// @notice A small round with all its words: contributions, trees of sums, cohort and published sum; true, or with one
/// lie at a place of choice. And the proofs that anyone who holds it can make.
library Rounds {
    /// @notice What the terms and the plan fix.
    struct Shape {
        uint256 slots;
        uint256 chunks;
        uint256 perChunk;
        uint256 inLast;
        uint256 modulus;
    }

    /// @notice One word of one node is another: `level` 0 lies about a contribution, `HIDDEN` about nothing.
    struct Lie {
        uint256 place;
        uint256 level;
        uint256 index;
        uint256 word;
        uint256 by;
    }

    struct Node {
        bytes32 hash;
        bytes32 own;
        uint256[] words;
        bytes32 left;
        bytes32 right;
        bool inner;
    }

    struct World {
        Shape shape;
        bytes arithmetic;
        bytes32[][] owns; // by slot, by place
        bytes32[] contributions;
        bytes32[] slots;
        Node[][][] trees; // by place, by level, by index
        bytes32[] tops;
        bytes32[] sums; // leaves of the published sum
    }

    uint256 internal constant NOWHERE = type(uint256).max;

    function arithmeticOf(bytes32 scheme, Shape memory shape) internal pure returns (bytes memory) {
        // Two moduli a chunk: the one of the tests, and one that no leaf of theirs uses.
        uint128[4][] memory ranges = new uint128[4][](2);
        ranges[0] = [uint128(0), uint128(shape.chunks), 0, uint128(shape.modulus)];
        ranges[1] = [uint128(0), uint128(shape.chunks), 1, 97];
        uint64 dimension = uint64(shape.chunks * 1_000 - 1);
        return abi.encode(scheme, dimension, uint64(1_000), uint8(20), uint8(30), ranges);
    }

    function make(Shape memory shape, bytes32 seed, Lie memory lie, uint256 sumLie)
        internal
        pure
        returns (World memory made)
    {
        made.shape = shape;
        made.arithmetic = arithmeticOf("ckks/1", shape);
        uint256 places = placesOf(shape);
        made.owns = new bytes32[][](shape.slots);
        for (uint256 slot = 0; slot < shape.slots; slot++) made.owns[slot] = new bytes32[](places);
        made.trees = new Node[][][](places);
        made.tops = new bytes32[](places);
        made.sums = new bytes32[](places);
        for (uint256 place = 0; place < places; place++) plant(made, place, seed, lie, sumLie);
        made.contributions = new bytes32[](shape.slots);
        made.slots = new bytes32[](shape.slots);
        for (uint256 slot = 0; slot < shape.slots; slot++) {
            made.contributions[slot] = rootOf(shape, made.owns[slot]);
            made.slots[slot] = Digests.slot(slotId(slot), made.contributions[slot]);
        }
    }

    function plant(World memory made, uint256 place, bytes32 seed, Lie memory lie, uint256 sumLie) private pure {
        Shape memory shape = made.shape;
        Node[] memory level = new Node[](shape.slots);
        for (uint256 slot = 0; slot < shape.slots; slot++) {
            uint256[] memory words = Words.draw(keccak256(abi.encode(seed, place, slot)), 256, shape.modulus);
            bytes32 own = ownOf(shape, place, words);
            made.owns[slot][place] = own;
            if (lie.place == place && lie.level == 0 && lie.index == slot) {
                words = shifted(words, lie, shape.modulus);
                own = ownOf(shape, place, words);
            }
            level[slot] = Node(own, own, words, 0, 0, false);
        }
        Node[][] memory tree = new Node[][](heightOf(shape.slots) + 1);
        tree[0] = level;
        for (uint256 l = 1; l < tree.length; l++) tree[l] = raised(shape, place, tree[l - 1], l, lie);
        made.trees[place] = tree;
        Node memory top = tree[tree.length - 1][0];
        made.tops[place] = top.hash;
        made.sums[place] = place == sumLie ? keccak256("another sum") : top.own;
    }

    function raised(Shape memory shape, uint256 place, Node[] memory below, uint256 level, Lie memory lie)
        private
        pure
        returns (Node[] memory nodes)
    {
        nodes = new Node[]((below.length + 1) / 2);
        for (uint256 i = 0; i < nodes.length; i++) {
            if (2 * i + 1 == below.length) {
                nodes[i] = below[2 * i];
                continue;
            }
            (Node memory left, Node memory right) = (below[2 * i], below[2 * i + 1]);
            uint256[] memory words = Words.sum(left.words, right.words, shape.modulus);
            if (lie.place == place && lie.level == level && lie.index == i) words = shifted(words, lie, shape.modulus);
            bytes32 own = ownOf(shape, place, words);
            nodes[i] = Node(Digests.sumNode(left.hash, right.hash, own), own, words, left.hash, right.hash, true);
        }
    }

    function shifted(uint256[] memory words, Lie memory lie, uint256 modulus)
        private
        pure
        returns (uint256[] memory other)
    {
        other = new uint256[](words.length);
        for (uint256 i = 0; i < words.length; i++) other[i] = words[i];
        other[lie.word] = (other[lie.word] + lie.by) % modulus;
    }

    // Where things are.

    function placesOf(Shape memory shape) internal pure returns (uint256) {
        return (shape.chunks - 1) * shape.perChunk + shape.inLast;
    }

    function chunkOf(Shape memory shape, uint256 place) internal pure returns (uint32) {
        return uint32(place / shape.perChunk);
    }

    function leafOf(Shape memory shape, uint256 place) internal pure returns (uint32) {
        return uint32(place % shape.perChunk);
    }

    function slotId(uint256 slot) internal pure returns (uint32) {
        return uint32(3 * slot + 2);
    }

    function heightOf(uint256 count) internal pure returns (uint256 height) {
        while (1 << height < count) height++;
    }

    function ownOf(Shape memory shape, uint256 place, uint256[] memory words) internal pure returns (bytes32) {
        return Digests.leaf(chunkOf(shape, place), leafOf(shape, place), 0, Words.pack(words));
    }

    function preimageOf(Shape memory shape, uint256 place, uint256[] memory words)
        internal
        pure
        returns (bytes memory)
    {
        uint32 modulus = 0;
        return abi.encodePacked(
            uint8(0), chunkOf(shape, place), leafOf(shape, place), modulus, Words.pack(words)
        );
    }

    function leavesOf(Shape memory shape, bytes32[] memory all, uint256 chunk)
        internal
        pure
        returns (bytes32[] memory leaves)
    {
        leaves = new bytes32[](chunk + 1 == shape.chunks ? shape.inLast : shape.perChunk);
        for (uint256 i = 0; i < leaves.length; i++) leaves[i] = all[chunk * shape.perChunk + i];
    }

    function chunkRoots(Shape memory shape, bytes32[] memory all) internal pure returns (bytes32[] memory roots) {
        roots = new bytes32[](shape.chunks);
        for (uint256 chunk = 0; chunk < shape.chunks; chunk++) roots[chunk] = Trees.root(leavesOf(shape, all, chunk));
    }

    /// @notice Root over the chunks, of whatever has one digest a place.
    function rootOf(Shape memory shape, bytes32[] memory all) internal pure returns (bytes32) {
        return Trees.root(chunkRoots(shape, all));
    }

    // Paths.

    function placePath(Shape memory shape, bytes32[] memory all, uint256 place)
        internal
        pure
        returns (bytes32[] memory)
    {
        bytes32[] memory low = Trees.path(leavesOf(shape, all, chunkOf(shape, place)), leafOf(shape, place));
        return both(low, Trees.path(chunkRoots(shape, all), chunkOf(shape, place)));
    }

    /// @notice From a node of a sum tree upwards: the sibling and the parent's own, where there is a sibling.
    function sumPath(Node[][] memory tree, uint256 level, uint256 index) internal pure returns (bytes32[] memory steps) {
        for (uint256 l = level; l + 1 < tree.length; l++) {
            uint256 sibling = index ^ 1;
            index /= 2;
            if (sibling < tree[l].length) steps = both(steps, pair(tree[l][sibling].hash, tree[l + 1][index].own));
        }
    }

    function both(bytes32[] memory a, bytes32[] memory b) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](a.length + b.length);
        for (uint256 i = 0; i < a.length; i++) list[i] = a[i];
        for (uint256 i = 0; i < b.length; i++) list[a.length + i] = b[i];
    }

    function one(bytes32 a) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = a;
    }

    function pair(bytes32 a, bytes32 b) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](2);
        (list[0], list[1]) = (a, b);
    }

    function children(Node memory node) internal pure returns (bytes32[] memory list) {
        return node.inner ? pair(node.left, node.right) : list;
    }

    // Proofs.

    function badSum(World memory made, uint256 place, uint256 level, uint256 index)
        internal
        pure
        returns (ISumVerifier.BadSum memory proof)
    {
        Node[][] memory tree = made.trees[place];
        (Node memory left, Node memory right) = (tree[level - 1][2 * index], tree[level - 1][2 * index + 1]);
        proof.chunk = chunkOf(made.shape, place);
        proof.leaf = leafOf(made.shape, place);
        (proof.level, proof.index) = (uint32(level), uint32(index));
        (proof.left, proof.right) = (Words.pack(left.words), Words.pack(right.words));
        proof.steps = both(both(children(left), children(right)), one(tree[level][index].own));
        proof.steps = both(proof.steps, sumPath(tree, level, index));
        proof.steps = both(proof.steps, placePath(made.shape, made.tops, place));
        proof.arithmetic = made.arithmetic;
    }

    function badLeaf(World memory made, uint256 place, uint256 slot)
        internal
        pure
        returns (ISumVerifier.BadLeaf memory proof)
    {
        proof.chunk = chunkOf(made.shape, place);
        proof.leaf = leafOf(made.shape, place);
        (proof.slot, proof.slotId) = (uint32(slot), slotId(slot));
        proof.inTree = made.trees[place][0][slot].hash;
        proof.inContribution = made.owns[slot][place];
        proof.steps = both(sumPath(made.trees[place], 0, slot), placePath(made.shape, made.tops, place));
        proof.steps = both(proof.steps, placePath(made.shape, made.owns[slot], place));
        proof.steps = both(proof.steps, Trees.path(made.slots, slot));
        proof.arithmetic = made.arithmetic;
    }

    function badTop(World memory made, uint256 place) internal pure returns (ISumVerifier.BadTop memory proof) {
        Node[][] memory tree = made.trees[place];
        Node memory top = tree[tree.length - 1][0];
        proof.chunk = chunkOf(made.shape, place);
        proof.leaf = leafOf(made.shape, place);
        proof.inSum = made.sums[place];
        proof.steps = both(children(top), one(top.own));
        proof.steps = both(proof.steps, placePath(made.shape, made.tops, place));
        proof.steps = both(proof.steps, placePath(made.shape, made.sums, place));
        proof.arithmetic = made.arithmetic;
    }

    function opening(World memory made, ISumVerifier.Node memory asked)
        internal
        pure
        returns (ISumVerifier.Opening memory shown)
    {
        uint256 place = uint256(asked.chunk) * made.shape.perChunk + asked.leaf;
        shown.arithmetic = made.arithmetic;
        if (asked.tree == ISumVerifier.Tree.Cohort) {
            shown.slotId = slotId(asked.index);
            shown.steps = both(one(made.contributions[asked.index]), Trees.path(made.slots, asked.index));
        } else if (asked.tree == ISumVerifier.Tree.PublishedSum) {
            shown.steps = both(one(made.sums[place]), placePath(made.shape, made.sums, place));
        } else if (asked.tree == ISumVerifier.Tree.Contribution) {
            shown.slotId = slotId(asked.index);
            shown.steps = both(one(made.owns[asked.index][place]), placePath(made.shape, made.owns[asked.index], place));
            shown.steps = both(shown.steps, Trees.path(made.slots, asked.index));
        } else {
            Node memory node = made.trees[place][asked.level][asked.index];
            shown.steps = asked.level == 0 ? one(node.hash) : both(children(node), one(node.own));
            shown.steps = both(shown.steps, sumPath(made.trees[place], asked.level, asked.index));
            shown.steps = both(shown.steps, placePath(made.shape, made.tops, place));
        }
    }

    function commitTo(World memory made, ISettlement.Commit memory commit) internal pure {
        commit.slots = uint32(made.shape.slots);
        commit.cohort = Trees.root(made.slots);
        commit.sumTrees = rootOf(made.shape, made.tops);
        commit.sum = rootOf(made.shape, made.sums);
    }
}
